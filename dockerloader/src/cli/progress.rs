//! Shows what a pull does: bars on a terminal, plain lines elsewhere, JSON lines for machines.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};
use serde::Serialize;

use super::output;
use crate::clock::{self, Instant};
use crate::digest::Digest;
use crate::logging::printable;
use crate::progress::{Event, Progress};

/// Shortest time between two lines about the same step of the same blob.
const PACE: Duration = Duration::from_secs(1);

/// Takes the events of one operation.
pub(super) struct Display {
    begin: Instant,
    pace: Mutex<Pace>,
    form: Form,
}

enum Form {
    /// On stderr.
    Bars(Mutex<Bars>),
    /// On stderr.
    Lines,
    /// On stdout.
    Json,
}

impl Display {
    /// JSON lines if asked for; bars if stderr is a terminal; else lines.
    pub(super) fn new(json: bool) -> Self {
        let form = match (json, io::stderr().is_terminal()) {
            (true, _) => Form::Json,
            (false, true) => Form::Bars(Mutex::default()),
            (false, false) => Form::Lines,
        };
        Self { begin: clock::now(), pace: Mutex::default(), form }
    }
}

impl Progress for Display {
    fn event(&self, event: Event) {
        if let Form::Bars(bars) = &self.form {
            locked(bars).event(&event);
        } else if locked(&self.pace).lets_through(&event, self.begin.elapsed()) {
            if let Form::Json = self.form {
                json(&event);
            } else {
                line(&sentence(&event));
            }
        }
    }
}

/// One line of JSON on stdout.
pub(super) fn json(value: &impl Serialize) {
    // If nobody reads any more, the operation goes on all the same.
    let _ = output::answer(true, value, "");
}

#[expect(clippy::print_stderr, reason = "progress for people, where stderr is no terminal")]
fn line(text: &str) {
    eprintln!("{text}");
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The two steps that take long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Work {
    Download,
    Extract,
}

/// How far a step of a blob is, if the event is about that.
fn advance(event: &Event) -> Option<(Work, Digest, u64, u64)> {
    match event {
        Event::Blob { digest, done, total } => Some((Work::Download, *digest, *done, *total)),
        Event::Extracting { digest, done, total } => Some((Work::Extract, *digest, *done, *total)),
        _ => None,
    }
}

/// What was told when, and how far it was then. Pure: the time comes from outside.
#[derive(Debug, Default)]
struct Pace(HashMap<(Work, Digest), (Duration, u64)>);

impl Pace {
    /// The beginning and the end of each step, and one event a second between; all other events.
    fn lets_through(&mut self, event: &Event, now: Duration) -> bool {
        let Some((work, digest, done, total)) = advance(event) else { return true };
        let told = self.0.get(&(work, digest));
        let due = told.is_none_or(|(last, _)| now.saturating_sub(*last) >= PACE);
        // All bytes are there, and then they are verified: that is told once.
        let end = done >= total && told.is_none_or(|(_, before)| *before != done);
        if !due && !end {
            return false;
        }
        self.0.insert((work, digest), (now, done));
        true
    }
}

/// The event as a line for people.
fn sentence(event: &Event) -> String {
    let share = |digest: &Digest, done: u64, total: u64| {
        format!("{}: {} of {}", digest.short(), HumanBytes(done), HumanBytes(total))
    };
    match event {
        Event::Waiting { holder } => format!("waiting for the store, in use by {}", printable(holder)),
        Event::Resolved { digest } => format!("version {digest}"),
        Event::Planned { blobs: 0, .. } => "everything is on disk already".to_owned(),
        Event::Planned { blobs, bytes } => format!("to download: {blobs} blobs, {}", HumanBytes(*bytes)),
        Event::Blob { digest, done, total } => format!("downloading {}", share(digest, *done, *total)),
        Event::Retrying { digest, problem } => {
            format!("downloading {} again: {}", digest.short(), printable(problem))
        }
        Event::Extracting { digest, done, total } => format!("extracting {}", share(digest, *done, *total)),
        Event::Made { made, .. } => made.to_string(),
        Event::Installed { digest } => format!("installed {digest}"),
    }
}

/// A bar for each step under way; what is done leaves the screen.
struct Bars {
    screen: MultiProgress,
    bars: HashMap<(Work, Digest), ProgressBar>,
}

impl Default for Bars {
    fn default() -> Self {
        Self { screen: MultiProgress::new(), bars: HashMap::new() }
    }
}

impl Bars {
    fn event(&mut self, event: &Event) {
        let Some((work, digest, done, total)) = advance(event) else {
            // A terminal that went away is no reason to stop.
            let _ = self.screen.println(sentence(event));
            return;
        };
        let screen = &self.screen;
        let bar = self.bars.entry((work, digest)).or_insert_with(|| {
            let bar = screen.add(ProgressBar::new(total).with_style(style()).with_message(digest.short()));
            bar.set_prefix(match work {
                Work::Download => "downloading",
                Work::Extract => "extracting",
            });
            // Speed counts from here, not from what an earlier download left.
            bar.set_position(done);
            bar.reset_eta();
            bar
        });
        bar.set_position(done);
        if done >= total {
            bar.finish_and_clear();
            screen.remove(bar);
        }
    }
}

fn style() -> ProgressStyle {
    // A constant, tested below; the fallback has no speed.
    ProgressStyle::with_template(TEMPLATE)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

const TEMPLATE: &str =
    "{prefix:11} {msg} [{wide_bar}] {bytes:>10}/{total_bytes:10} {binary_bytes_per_sec:>12} {eta:>4}";

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(byte: u8, done: u64) -> Event {
        Event::Blob { digest: Digest::from_bytes([byte; 32]), done, total: 100 }
    }

    #[test]
    fn a_step_is_told_at_its_ends_and_once_a_second_between() {
        let mut pace = Pace::default();
        let mut told =
            |event: Event, milliseconds| pace.lets_through(&event, Duration::from_millis(milliseconds));
        assert!(told(blob(1, 0), 0));
        assert!(!told(blob(1, 10), 999));
        assert!(told(blob(2, 10), 999), "another blob has its own pace");
        let extracting = Event::Extracting { digest: Digest::from_bytes([1; 32]), done: 0, total: 100 };
        assert!(told(extracting, 999), "another step too");
        assert!(told(blob(1, 20), 1000));
        assert!(!told(blob(1, 30), 1999));
        assert!(told(blob(1, 100), 1999), "the end is always told");
        assert!(!told(blob(1, 100), 2000), "and once");
        assert!(told(Event::Planned { blobs: 1, bytes: 1 }, 1999));
        assert!(told(Event::Planned { blobs: 1, bytes: 1 }, 1999));
    }

    #[test]
    fn sentences_name_the_blob_and_the_share() {
        let digest = Digest::from_bytes([0xab; 32]);
        for (event, text) in [
            (
                Event::Blob { digest, done: 1 << 20, total: 3 << 20 },
                "downloading abababababab: 1.00 MiB of 3.00 MiB",
            ),
            (Event::Extracting { digest, done: 0, total: 512 }, "extracting abababababab: 0 B of 512 B"),
            (Event::Planned { blobs: 0, bytes: 0 }, "everything is on disk already"),
            (Event::Planned { blobs: 2, bytes: 2048 }, "to download: 2 blobs, 2.00 KiB"),
            (
                Event::Retrying { digest, problem: "reset\u{1b}[2J".into() },
                "downloading abababababab again: reset\\u{1b}[2J",
            ),
        ] {
            assert_eq!(sentence(&event), text);
        }
    }

    #[test]
    fn the_bars_template_is_understood() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }

    #[test]
    fn what_is_done_leaves_the_screen() {
        let screen = MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::hidden());
        let mut bars = Bars { screen, bars: HashMap::new() };
        bars.event(&blob(1, 0));
        bars.event(&blob(2, 50));
        bars.event(&blob(1, 100));
        let finished = |byte| bars.bars[&(Work::Download, Digest::from_bytes([byte; 32]))].is_finished();
        assert!(finished(1) && !finished(2));
    }
}
