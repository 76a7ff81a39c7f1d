//! The last lines of a stream, in bounded memory.

use std::collections::VecDeque;

/// Lines that are kept.
const LINES: usize = 20;
/// Bytes kept of one line; the rest is cut.
const LINE_BYTES: usize = 400;

/// The last lines that an application wrote.
#[derive(Debug, Default)]
pub(super) struct Tail {
    lines: VecDeque<Vec<u8>>,
    /// The line that has no end yet.
    open: Vec<u8>,
}

impl Tail {
    /// Takes what was written.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        // Only the end of a large chunk can still be among the last lines.
        let start = bytes.len().saturating_sub(LINES * LINE_BYTES * 4);
        for piece in bytes.get(start..).unwrap_or_default().split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            let room = LINE_BYTES.saturating_sub(self.open.len()).min(text.len());
            self.open.extend_from_slice(text.get(..room).unwrap_or_default());
            if ended {
                if self.lines.len() == LINES {
                    self.lines.pop_front();
                }
                self.lines.push_back(std::mem::take(&mut self.open));
            }
        }
    }

    /// The lines as text: bytes that are no UTF-8 and control characters are replaced, so that showing them is safe.
    pub(super) fn text(&self) -> Vec<String> {
        let open = (!self.open.is_empty()).then_some(&self.open);
        let lines = self.lines.iter().chain(open);
        lines
            .map(|line| {
                let text = String::from_utf8_lossy(line);
                text.trim_end()
                    .chars()
                    .map(|c| if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c })
                    .collect()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_bounded_and_clean() {
        let mut tail = Tail::default();
        for number in 0..1000 {
            tail.push(format!("line {number}\n").as_bytes());
        }
        tail.push(b"half");
        tail.push(b" a line");
        let text = tail.text();
        assert_eq!(text.len(), LINES + 1);
        assert_eq!((text[0].as_str(), text[LINES].as_str()), ("line 980", "half a line"));
        let mut tail = Tail::default();
        tail.push(&vec![b'x'; 10 << 20]);
        tail.push(b"\n\x1b[31mred\x07\xff\r\n");
        assert_eq!(tail.text()[0].len(), LINE_BYTES);
        assert_eq!(tail.text()[1], "\u{fffd}[31mred\u{fffd}\u{fffd}");
    }
}
