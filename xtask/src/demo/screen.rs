//! What the person sees: finished steps as lines, the step under way as a bar on a terminal.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::script::Step;
use super::text::{seconds, wrap};

/// Where the text of a step begins.
const INDENT: usize = 18;
/// Longest line, and where the output is no terminal.
const WIDTH: usize = 110;

const BAR: &str =
    "                {spinner} {prefix}: {msg} [{bar:30}] {decimal_bytes} of {decimal_total_bytes}";
const SPINNER: &str = "                {spinner} {prefix}: {msg}";

/// The two streams of the terminal. Clones draw on the same.
#[derive(Debug, Clone)]
pub(super) struct Screen {
    bar: ProgressBar,
    colours: bool,
    width: usize,
}

/// What is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) what: String,
    /// Bytes on disk, and of all.
    pub(super) bytes: Option<(u64, u64)>,
}

impl Screen {
    /// Bars where both streams are a terminal, colours where the output is one and `NO_COLOR` is unset or empty.
    pub(super) fn new() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let bars = terminal && std::io::stderr().is_terminal();
        let target = if bars { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self {
            bar: ProgressBar::with_draw_target(None, target),
            colours: terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            width: columns().unwrap_or(WIDTH).clamp(60, WIDTH),
        }
    }

    /// A line, above the bar.
    pub(super) fn line(&self, text: &str) {
        self.bar.suspend(|| println!("{text}"));
    }

    /// A line of the supervisor's log.
    pub(super) fn log(&self, text: &str) {
        self.line(&self.paint("2", &format!("{:INDENT$}| {text}", "")));
    }

    /// Text from the left edge.
    pub(super) fn text(&self, text: &str) {
        for line in wrap(text, self.width) {
            self.line(&line);
        }
    }

    /// Text with a hanging indent.
    pub(super) fn paragraph(&self, head: &str, text: &str) {
        for line in self.paragraph_lines(head, text) {
            self.line(&line);
        }
    }

    /// Its lines.
    pub(super) fn paragraph_lines(&self, head: &str, text: &str) -> Vec<String> {
        let lines = wrap(text, self.width - INDENT);
        let heads = std::iter::once(head).chain(std::iter::repeat(""));
        lines.into_iter().zip(heads).map(|(line, head)| format!("{head:INDENT$}{line}")).collect()
    }

    /// A step begins.
    pub(super) fn begin(&self, title: &'static str) {
        self.bar.set_prefix(title);
        self.progress(&Progress { what: String::new(), bytes: None });
    }

    /// How it goes on.
    pub(super) fn progress(&self, progress: &Progress) {
        let template = if progress.bytes.is_some() { BAR } else { SPINNER };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("=> "));
        }
        self.bar.set_message(progress.what.clone());
        if let Some((done, total)) = progress.bytes {
            self.bar.set_length(total);
            self.bar.set_position(done);
        }
        self.bar.tick();
    }

    /// A step is done and was verified. `at` counts from the beginning.
    pub(super) fn done(&self, step: &Step, at: Duration, took: Duration, measured: &str, verified: &str) {
        self.headline(step, at, took);
        self.paragraph("", measured);
        for line in self.paragraph_lines("", &format!("verified: {verified}")) {
            self.line(&self.paint("32", &line));
        }
    }

    /// A step failed.
    pub(super) fn failed(&self, step: &Step, at: Duration, took: Duration, why: &str) {
        self.headline(step, at, took);
        for line in self.paragraph_lines("", &format!("FAILED: {why}")) {
            self.line(&self.paint("31", &line));
        }
    }

    fn headline(&self, step: &Step, at: Duration, took: Duration) {
        let head = format!("{:>7} {:>7}", seconds(at), seconds(took));
        let text = format!("{}: {}", step.title, step.story);
        let titled = format!("{}:", self.paint("1", step.title));
        for (index, line) in self.paragraph_lines(&head, &text).into_iter().enumerate() {
            let plain = format!("{}:", step.title);
            self.line(&if index == 0 { line.replacen(&plain, &titled, 1) } else { line });
        }
    }

    /// No step is under way any more.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// In a colour or weight (ECMA-48, SGR), where there are any.
    pub(super) fn paint(&self, code: &str, text: &str) -> String {
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Columns of the terminal.
fn columns() -> Option<usize> {
    rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col))
}
