//! A container's output: the engine's bytes -> lines. Pure.
//!
//! Without a terminal they come in frames: a header of eight bytes (which stream, three zeros, the length) and so many bytes. With one they come as they
//! are. Engines before API 1.42 don't say which of both it is; but each line begins with its time, and no digit is a stream's number.

use super::LogLine;

/// A line has at most so many bytes; the rest of it is left out.
const LONGEST: usize = 16 << 10;
/// A time has at most so many bytes: `2026-11-26T07:34:30.123456789+05:30`.
const LONGEST_TIME: usize = 40;

/// Takes bytes apart.
#[derive(Debug)]
pub(super) struct Demux {
    state: State,
    /// Of standard output and standard error.
    lines: [Line; 2],
    /// Whether each line begins with its time.
    has_times: bool,
}

#[derive(Debug)]
enum State {
    /// Nothing has come yet.
    Begin,
    /// A terminal's bytes.
    Raw,
    /// In a header: what has come of it.
    Header(Vec<u8>),
    /// In a frame of a stream: what is left of it.
    Frame { error: bool, left: usize },
}

#[derive(Debug, Default)]
struct Line {
    /// What has come of the time, as long as that is being read.
    time: Option<Vec<u8>>,
    at: String,
    text: Vec<u8>,
    /// Whether anything of it has come.
    has_begun: bool,
}

impl Line {
    /// The next bytes begin with a time: those of a line, and those of a part of it that an engine has cut.
    fn expect_time(&mut self) {
        self.time = Some(Vec::new());
    }

    fn push(&mut self, byte: u8) {
        self.has_begun = true;
        match self.time.take() {
            None => self.keep(byte),
            Some(time) if byte == b' ' && is_time(&time) => {
                if self.at.is_empty() {
                    self.at = String::from_utf8_lossy(&time).into_owned();
                }
            }
            Some(mut time)
                if time.len() < LONGEST_TIME && (byte.is_ascii_digit() || b"-:.+TZ".contains(&byte)) =>
            {
                time.push(byte);
                self.time = Some(time);
            }
            // It was none.
            Some(time) => time.into_iter().chain([byte]).for_each(|byte| self.keep(byte)),
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.text.len() < LONGEST {
            self.text.push(byte);
        }
    }

    fn end(&mut self, error: bool) -> LogLine {
        let mut line = std::mem::take(self);
        match line.time.take() {
            // A line of a time alone is an empty one.
            Some(time) if is_time(&time) && line.at.is_empty() => {
                line.at = String::from_utf8_lossy(&time).into_owned()
            }
            Some(time) => time.into_iter().for_each(|byte| line.keep(byte)),
            None => {}
        }
        if line.text.ends_with(b"\r") {
            line.text.pop();
        }
        LogLine { at: line.at, error, text: String::from_utf8_lossy(&line.text).into_owned() }
    }
}

/// RFC 3339, as far as it has to be told from a number.
fn is_time(text: &[u8]) -> bool {
    text.len() >= 20 && text.contains(&b'T')
}

impl Demux {
    /// For the output of a container, whose lines have times.
    pub(super) fn logs() -> Self {
        Self { state: State::Begin, lines: Default::default(), has_times: true }
    }

    /// For the output of a command in one: frames without times.
    pub(super) fn frames() -> Self {
        Self { state: State::Header(Vec::new()), lines: Default::default(), has_times: false }
    }

    /// The lines that end in this piece.
    ///
    /// # Errors
    /// When a header is none.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<Vec<LogLine>, String> {
        let mut lines = Vec::new();
        for byte in piece {
            if matches!(self.state, State::Begin) {
                self.state = if *byte <= 2 { State::Header(Vec::new()) } else { State::Raw };
                self.expect_time(false);
            }
            match &mut self.state {
                State::Begin | State::Raw => self.take(false, *byte, &mut lines),
                State::Header(header) => {
                    header.push(*byte);
                    if let [stream, zeros @ .., a, b, c, d] = header.as_slice()
                        && header.len() == 8
                    {
                        if *stream > 2 || zeros != [0; 3] {
                            return Err("what stands between two pieces of output is no header".to_owned());
                        }
                        let left = u32::from_be_bytes([*a, *b, *c, *d]);
                        let (error, left) = (*stream == 2, usize::try_from(left).unwrap_or(usize::MAX));
                        self.state =
                            if left == 0 { State::Header(Vec::new()) } else { State::Frame { error, left } };
                        self.expect_time(error);
                    }
                }
                State::Frame { error, left } => {
                    let error = *error;
                    *left -= 1;
                    if *left == 0 {
                        self.state = State::Header(Vec::new());
                    }
                    self.take(error, *byte, &mut lines);
                }
            }
        }
        Ok(lines)
    }

    fn line(&mut self, error: bool) -> &mut Line {
        let [output, errors] = &mut self.lines;
        if error { errors } else { output }
    }

    fn expect_time(&mut self, error: bool) {
        if self.has_times {
            self.line(error).expect_time();
        }
    }

    fn take(&mut self, error: bool, byte: u8, lines: &mut Vec<LogLine>) {
        if byte != b'\n' {
            return self.line(error).push(byte);
        }
        let line = self.line(error).end(error);
        lines.push(line);
        self.expect_time(error);
    }

    /// Lines that have no end.
    pub(super) fn end(&mut self) -> Vec<LogLine> {
        let mut lines = Vec::new();
        for error in [false, true] {
            if self.line(error).has_begun {
                lines.push(self.line(error).end(error));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests;
