//! What a helper says on its standard output: one JSON object a line, the last one its result.

use serde::Deserialize;

use super::exit::Exit;
use super::machine::{Helper, Outcome};
use crate::digest::Digest;
use crate::remedy::Remedy;

/// Longest line, in bytes; the rest of a longer one is dropped.
const LINE_BYTES: usize = 64 << 10;

/// The lines of one helper, as they come in.
#[derive(Debug, Default)]
pub(super) struct Lines {
    open: Vec<u8>,
    result: Option<Outcome>,
    received: u64,
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
    /// Takes bytes. Returns whether a line said that something new is being pulled.
    pub(super) fn push(&mut self, bytes: &[u8]) -> bool {
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

    /// What the helper came to, now that it has ended.
    pub(super) fn conclude(self, helper: Helper, exit: Exit) -> Outcome {
        match (self.result, helper) {
            (Some(outcome), Helper::Check | Helper::Verify(..) | Helper::VerifyAll(_)) => outcome,
            (Some(failed @ Outcome::Failed { .. }), _) => failed,
            (_, Helper::Restore(_) | Helper::CleanUp) if exit == Exit::Code(0) => Outcome::Done,
            // Killed for memory, a defect, or a disk so full that not even a line could be written.
            (_, helper) => Outcome::Failed {
                error: format!("{} {exit} without a result", helper.name()),
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
        assert!(!lines.push(b"noise\n{\"event\":\"resolved\"}\n{\"ev"));
        assert!(lines.push(b"ent\":\"planned\"}\n"));
        lines.push(staged.as_bytes());
        lines.push(b"\n");
        assert_eq!(lines.conclude(Helper::Check, Exit::Code(0)), Outcome::Staged(digest));
        let silent = |helper, exit| Lines::default().conclude(helper, exit);
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
            b"{\"event\":\"result\",\"outcome\":\"failed\",\"error\":\"no route\",\"remedy\":\"retry\"}\n",
        );
        let failed = Outcome::Failed { error: "no route".to_owned(), remedy: Remedy::Retry };
        assert_eq!(lines.conclude(Helper::Check, Exit::Code(69)), failed);
    }
}
