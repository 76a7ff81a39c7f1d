//! What a helper says on its standard output: one JSON object a line, the last one its result.

use serde::Deserialize;

use super::exit::Exit;
use super::machine::{Helper, Millis, Outcome};
use crate::digest::Digest;
use crate::remedy::Remedy;

/// Longest line, in bytes; the rest of a longer one is dropped.
const LINE_BYTES: usize = 64 << 10;
/// Most bytes of one helper: a line a second for each of a hundred layers, for an hour.
const OUTPUT_BYTES: u64 = 64 << 20;
/// Longest silence, in milliseconds. A helper tells each second how far it is; it waits for the store for ten minutes, and for a slow
/// disk to sync perhaps as long. What is ended resumes where it was.
const SILENCE: Millis = 30 * 60_000;

/// The lines of one helper, as they come in.
#[derive(Debug, Default)]
pub(super) struct Lines {
    open: Vec<u8>,
    result: Option<Outcome>,
    received: u64,
    /// When it said something last, or began.
    heard: Millis,
}

/// One line, as far as the supervisor cares.
#[derive(Debug, Deserialize)]
struct Line {
    event: String,
    #[serde(default)]
    outcome: String,
    digest: Option<Digest>,
    reason: Option<String>,
    error: Option<String>,
    remedy: Option<Remedy>,
    #[serde(default)]
    digests: Vec<Digest>,
    #[serde(default)]
    repairable: bool,
    #[serde(default)]
    runnable: bool,
}

impl Lines {
    /// Those of a helper that begins now.
    pub(super) fn begin(now: Millis) -> Self {
        Self { heard: now, ..Self::default() }
    }

    /// Takes bytes. Returns whether a line said that something new is being pulled.
    pub(super) fn push(&mut self, now: Millis, bytes: &[u8]) -> bool {
        self.heard = now;
        self.received = self.received.saturating_add(bytes.len() as u64);
        let mut found_new = false;
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE_BYTES.saturating_sub(self.open.len()).min(piece.len());
            self.open.extend_from_slice(piece.get(..room).unwrap_or_default());
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.open);
                if let Ok(line) = serde_json::from_slice::<Line>(&line) {
                    found_new |= matches!(line.event.as_str(), "planned" | "damaged");
                    if line.event == "result" {
                        self.result = Some(outcome(line));
                    }
                }
            }
        }
        found_new
    }

    /// Bytes so far.
    pub(super) const fn received(&self) -> u64 {
        self.received
    }

    /// When the helper is to be looked at, whatever it says until then.
    pub(super) const fn deadline(&self) -> Millis {
        self.heard.saturating_add(SILENCE)
    }

    /// Why the helper is to be ended, if so: it hangs or is stopped, or it has lost its mind.
    pub(super) fn defect(&self, now: Millis) -> Option<String> {
        if self.received > OUTPUT_BYTES {
            return Some(format!("wrote more than {} MB, and was ended", OUTPUT_BYTES >> 20));
        }
        (now >= self.deadline())
            .then(|| format!("said nothing for {} minutes, and was ended", SILENCE / 60_000))
    }

    /// What the helper came to, now that it has ended; `out_of_memory` when the kernel killed something of ours meanwhile.
    pub(super) fn conclude(self, helper: Helper, exit: Exit, out_of_memory: bool) -> Outcome {
        match (self.result, helper) {
            (Some(outcome), Helper::Check | Helper::Verify(..) | Helper::VerifyAll(_)) => outcome,
            (Some(failed @ Outcome::Failed { .. }), _) => failed,
            (_, Helper::Restore(_) | Helper::CleanUp) if exit == Exit::Code(0) => Outcome::Done,
            // Killed for memory, a defect, or a disk so full that not even a line could be written.
            (_, helper) => Outcome::Failed {
                error: format!("{} {exit} without a result{}", helper.name(), explain(exit, out_of_memory)),
                remedy: Remedy::Later,
            },
        }
    }
}

impl Helper {
    /// The command that it is, for people.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Check => "the pull",
            Self::Restore(_) => "the repair",
            Self::CleanUp => "the clean-up",
            Self::Verify(..) | Self::VerifyAll(_) => "the look at the files",
        }
    }
}

/// What an end without a result mostly means.
fn explain(exit: Exit, out_of_memory: bool) -> &'static str {
    const SIGKILL: i32 = 9;
    match exit {
        Exit::Signal(SIGKILL) if out_of_memory => {
            ": the kernel killed it because the container's memory is used up; give the container more, or the application less"
        }
        Exit::Signal(SIGKILL) => ": somebody killed it",
        Exit::Code(super::exit::INTERNAL) | Exit::Signal(_) => {
            ": a defect of dockerloader; its log says where"
        }
        Exit::Code(_) | Exit::Exec(_) => "",
    }
}

fn outcome(line: Line) -> Outcome {
    let failed = |error: String| Outcome::Failed { error, remedy: line.remedy.unwrap_or(Remedy::Later) };
    match (line.outcome.as_str(), line.digest) {
        ("staged", Some(digest)) => Outcome::Staged(digest),
        ("up_to_date", Some(digest)) => Outcome::UpToDate(digest),
        ("skipped", Some(digest)) => Outcome::Skipped { digest, reason: line.reason.unwrap_or_default() },
        ("restored" | "done" | "intact", _) => Outcome::Done,
        ("repaired", _) => Outcome::Repaired,
        ("damaged", _) => Outcome::Damaged {
            digests: line.digests,
            repairable: line.repairable,
            runnable: line.runnable,
            error: line.error.unwrap_or_else(|| "it can only be repaired while it does not run".to_owned()),
        },
        ("failed", _) => failed(line.error.unwrap_or_else(|| "it failed".to_owned())),
        (other, _) => failed(format!("it said {other:?}, which is no outcome")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_result_line_counts() {
        let digest: Digest = format!("sha256:{}", "ab".repeat(32)).parse().unwrap();
        let staged = format!(r#"{{"event":"result","outcome":"staged","digest":"{digest}"}}"#);
        let mut lines = Lines::default();
        assert!(!lines.push(0, b"noise\n{\"event\":\"resolved\"}\n{\"ev"));
        assert!(lines.push(0, b"ent\":\"planned\"}\n"));
        lines.push(0, staged.as_bytes());
        lines.push(0, b"\n");
        assert_eq!(lines.conclude(Helper::Check, Exit::Code(0), false), Outcome::Staged(digest));
        let silent = |helper, exit| Lines::default().conclude(helper, exit, false);
        assert_eq!(silent(Helper::CleanUp, Exit::Code(0)), Outcome::Done);
        for (helper, exit) in [
            (Helper::Check, Exit::Code(0)),
            (Helper::Check, Exit::Signal(9)),
            (Helper::Restore(digest), Exit::Code(1)),
        ] {
            assert!(
                matches!(silent(helper, exit), Outcome::Failed { remedy: Remedy::Later, .. }),
                "{helper:?}"
            );
        }
        let mut lines = Lines::default();
        lines.push(
            0,
            b"{\"event\":\"result\",\"outcome\":\"failed\",\"error\":\"no route\",\"remedy\":\"retry\"}\n",
        );
        let failed = Outcome::Failed { error: "no route".to_owned(), remedy: Remedy::Retry };
        assert_eq!(lines.conclude(Helper::Check, Exit::Code(69), false), failed);
    }

    #[test]
    fn an_end_without_a_result_is_explained() {
        let said = |exit, out_of_memory| match Lines::default().conclude(Helper::Check, exit, out_of_memory) {
            Outcome::Failed { error, remedy: Remedy::Later } => error,
            other => panic!("{other:?}"),
        };
        for (exit, out_of_memory, part) in [
            (
                Exit::Signal(9),
                true,
                "the pull killed by SIGKILL without a result: the kernel killed it because",
            ),
            (Exit::Signal(9), false, "somebody killed it"),
            (Exit::Signal(6), false, "killed by SIGABRT without a result: a defect of dockerloader"),
            (Exit::Code(70), false, "exited with 70 without a result: a defect of dockerloader"),
            (Exit::Code(1), true, "the pull exited with 1 without a result"),
        ] {
            assert!(said(exit, out_of_memory).contains(part), "{}", said(exit, out_of_memory));
        }
    }

    #[test]
    fn a_helper_that_hangs_or_raves_is_known() {
        let mut lines = Lines::begin(1_000);
        assert_eq!(lines.deadline(), 1_000 + SILENCE);
        assert_eq!(lines.defect(lines.deadline() - 1), None);
        assert!(lines.defect(lines.deadline()).unwrap().contains("said nothing for 30 minutes"));
        // Whatever it says is a sign of life.
        lines.push(2_000, b"x");
        assert_eq!((lines.defect(1_000 + SILENCE), lines.deadline()), (None, 2_000 + SILENCE));
        let chunk = vec![b'x'; 1 << 20];
        for _ in 0..64 {
            lines.push(2_000, &chunk);
        }
        assert!(lines.defect(2_000).unwrap().contains("more than 64 MB"));
        assert!(lines.open.len() <= LINE_BYTES, "in bounded memory");
    }
}
