//! What no link can say: verdicts, the attempt counter, probation. Lost, it costs the memory of verdicts, never a start.

use serde::{Deserialize, Serialize};

use super::verdict::{Verdict, VerdictKind};
use crate::digest::Digest;
use crate::status::Check;

/// The format that this version writes.
const FORMAT: u32 = 1;
/// Verdicts that are remembered; the oldest go first.
const VERDICTS: usize = 1000;
/// Verdicts that keep the version's last output.
const VERDICTS_WITH_OUTPUT: usize = 10;

/// The contents of `state.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    format: u32,
    /// Newest last.
    #[serde(default)]
    pub verdicts: Vec<Verdict>,
    /// The version that is or was on trial; written before it is executed.
    #[serde(default)]
    pub trial: Option<Trial>,
    /// The committed version under watch.
    #[serde(default)]
    pub probation: Option<Crashes>,
    /// Crashes in a row of the current version, whether in probation or not.
    #[serde(default)]
    pub crashes: Option<Crashes>,
    /// The last look at the registry.
    #[serde(default)]
    pub last_check: Option<Check>,
}

/// A trial, and what it replaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The version on trial.
    pub digest: Digest,
    /// Times that it was started on trial.
    pub attempts: u32,
    /// The version that was current when the trial began: the next `entrypoint-previous`.
    pub from: Option<(Digest, String)>,
}

/// Crashes counted against one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crashes {
    /// The version.
    pub digest: Digest,
    /// How many.
    pub count: u32,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            format: FORMAT,
            verdicts: Vec::new(),
            trial: None,
            probation: None,
            crashes: None,
            last_check: None,
        }
    }
}

impl Memory {
    /// Largest state file that is read, in bytes.
    pub const BYTES: u64 = 4 << 20;

    /// Parses `state.json`.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let memory: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if memory.format == FORMAT {
            Ok(memory)
        } else {
            Err(format!("format {}, but this version reads {FORMAT}", memory.format))
        }
    }

    /// The bytes of `state.json`.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Strings, numbers and lists always have a JSON form; an empty file is read as a lost one.
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// The verdict on a version.
    pub fn verdict(&self, digest: &Digest) -> Option<&Verdict> {
        self.verdicts.iter().find(|verdict| verdict.digest == *digest)
    }

    /// Adds a verdict in place of the older one on the same version. A final one is never weakened to a passing one (I4).
    pub fn judge(&mut self, mut verdict: Verdict) {
        if let Some(older) = self.forget(&verdict.digest) {
            verdict.times = older.times;
            if older.kind == VerdictKind::App && verdict.retry_seconds().is_some() {
                verdict.kind = older.kind;
            }
        }
        verdict.times = verdict.times.saturating_add(1);
        self.verdicts.push(verdict);
        let surplus = self.verdicts.len().saturating_sub(VERDICTS);
        self.verdicts.drain(..surplus);
        let silent = self.verdicts.len().saturating_sub(VERDICTS_WITH_OUTPUT);
        for old in self.verdicts.iter_mut().take(silent) {
            old.output.clear();
        }
    }

    /// Drops the verdict on a version, and returns it.
    pub fn forget(&mut self, digest: &Digest) -> Option<Verdict> {
        let at = self.verdicts.iter().position(|verdict| verdict.digest == *digest)?;
        Some(self.verdicts.remove(at))
    }
}
