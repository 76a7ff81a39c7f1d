//! What the API says -> text for people. Pure: width, colours, time and zone come from outside.

mod table;
mod time;

mod container;
mod history;
mod names;
mod plan;
mod registries;
mod status;
mod why;

use jiff::tz::TimeZone;

use dockerloader::logging::printable;

pub(super) use container::container;
pub(super) use history::history;
pub(super) use plan::plan;
pub(super) use registries::registries;
pub(super) use status::status;
pub(super) use time::{duration, moment};
pub(super) use why::{Asked, why};

/// How text is shown.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// Columns of the terminal; without it nothing is cut or wrapped.
    pub(super) width: Option<usize>,
    /// Whether escape sequences for colours are written.
    pub(super) colours: bool,
    /// Now, seconds since 1970.
    pub(super) now: i64,
    /// The zone in which times are shown.
    pub(super) zone: TimeZone,
}

/// What a piece of text is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    /// A heading.
    Strong,
    /// As it has to be, or new.
    Good,
    /// Under way, or it differs.
    Warn,
    /// Somebody has to look.
    Bad,
    /// Beside the point.
    Quiet,
}

impl View {
    /// In a colour or weight (ECMA-48, SGR), where there are any.
    pub(super) fn paint(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => None,
            Tone::Strong => Some("1"),
            Tone::Good => Some("32"),
            Tone::Warn => Some("33"),
            Tone::Bad => Some("31"),
            Tone::Quiet => Some("2"),
        };
        match code {
            Some(code) if self.colours && !text.is_empty() => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            _ => text.to_owned(),
        }
    }

    /// A heading and text beside it, the lines below each other.
    fn paragraph(&self, indent: usize, head: &str, tone: Tone, text: &str) -> String {
        let lines = self.wrapped(indent, text);
        let mut out = String::new();
        for (number, line) in lines.iter().enumerate() {
            let head = if number == 0 { head } else { "" };
            let padding = indent.saturating_sub(head.chars().count());
            out.push_str(&self.paint(Tone::Strong, head));
            out.push_str(&" ".repeat(padding));
            out.push_str(&self.paint(tone, line));
            out.push('\n');
        }
        out
    }

    /// Lines of words that fit beside an indent. A word that does not fit stands alone, and a command counts as one, so that it can be
    /// copied. What controls a terminal is escaped.
    fn wrapped(&self, indent: usize, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for part in text.lines() {
            let part = printable(part);
            let Some(room) = self.width.map(|width| width.saturating_sub(indent).max(20)) else {
                lines.push(part.into_owned());
                continue;
            };
            let mut line = String::new();
            for word in words(&part) {
                let long = line.chars().count() + 1 + word.chars().count() > room;
                if !line.is_empty() && long {
                    lines.push(std::mem::take(&mut line));
                } else if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(&word);
            }
            lines.push(line);
        }
        if lines.is_empty() {
            lines.push(String::new());
        }
        lines
    }
}

/// Words between spaces, what stands in backticks being one.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut is_open = false;
    for word in text.split(' ') {
        match words.last_mut().filter(|_| is_open) {
            Some(last) => {
                last.push(' ');
                last.push_str(word);
            }
            None => words.push(word.to_owned()),
        }
        is_open ^= word.matches('`').count() % 2 == 1;
    }
    words
}

#[cfg(test)]
pub(super) mod sample;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_wrapped_and_nothing_controls_the_terminal() {
        let view = View { width: Some(30), ..sample::view() };
        let text = "the registry said \u{1b}[2J and a-word-that-is-longer-than-any-line-of-these is not cut";
        assert_eq!(
            view.paragraph(6, "why", Tone::Plain, text),
            "why   the registry said\n      \\u{1b}[2J and\n      a-word-that-is-longer-than-any-line-of-these\n      \
             is not cut\n"
        );
        assert_eq!(
            view.wrapped(0, "so that `deviced why web` can be copied"),
            ["so that `deviced why web` can", "be copied"]
        );
        assert_eq!(
            view.wrapped(0, "so that right now `deviced why web` can be"),
            ["so that right now", "`deviced why web` can be"]
        );
        let wide = View { width: None, ..sample::view() };
        assert_eq!(wide.paragraph(2, "", Tone::Plain, "one\ntwo"), "  one\n  two\n");
        assert_eq!(wide.paragraph(4, "why", Tone::Plain, ""), "why \n");
    }

    #[test]
    fn colours_are_written_where_they_are_wanted() {
        let view = View { colours: true, ..sample::view() };
        assert_eq!(view.paint(Tone::Bad, "x"), "\u{1b}[31mx\u{1b}[0m");
        assert_eq!(view.paint(Tone::Bad, ""), "");
        assert_eq!(sample::view().paint(Tone::Bad, "x"), "x");
    }
}
