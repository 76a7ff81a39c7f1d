//! All cases, and their names.

use std::path::Path;

use super::cell::{self, Outcome};
use super::expected::Expected;
use super::fault::Fault;
use super::phase::Phase;
use super::table::expected;
use crate::failure::Result;

/// Something that is run and judged by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    /// A fault in a phase of a pull.
    Cell(Fault, Phase),
}

impl Case {
    /// Every case there is, those that wait longest first.
    pub(super) fn all() -> Vec<Self> {
        let cells = Fault::ALL.iter().flat_map(|fault| Phase::ALL.map(|phase| Self::Cell(*fault, phase)));
        let mut all: Vec<_> = cells.collect();
        all.sort_by_key(|case| std::cmp::Reverse(case.patience()));
        all
    }

    /// Whether it belongs to the short run: one phase of each fault, another one for each.
    pub(super) fn is_quick(self) -> bool {
        match self {
            Self::Cell(fault, phase) => {
                let applies = |phase: &Phase| !matches!(expected(fault, *phase), Expected::DoesNotApply(_));
                let phases: Vec<_> = Phase::ALL.into_iter().filter(applies).collect();
                phases.get(fault as usize % phases.len().max(1)) == Some(&phase)
            }
        }
    }

    pub(super) fn name(self) -> String {
        match self {
            Self::Cell(fault, phase) => format!("{fault}/{phase}"),
        }
    }

    /// Whether this name means it: its own, or its first half.
    pub(super) fn is_called(self, name: &str) -> bool {
        let own = self.name();
        own == name || own.split_once('/').is_some_and(|(first, _)| first == name)
    }

    /// What is expected, in a few words.
    pub(super) fn expectation(self) -> String {
        match self {
            Self::Cell(fault, phase) => match expected(fault, phase) {
                Expected::Right(ceiling) => format!("right, {} requests at most", ceiling.requests),
                Expected::Refused(remedy, says, ceiling) => format!(
                    "exit code {} ({}), {} requests at most: {}",
                    remedy.exit(),
                    remedy.name(),
                    ceiling.requests,
                    says.join(", ")
                ),
                Expected::DoesNotApply(reason) => format!("does not apply: {reason}"),
            },
        }
    }

    fn patience(self) -> u64 {
        match self {
            Self::Cell(fault, phase) => match expected(fault, phase) {
                Expected::Right(ceiling) | Expected::Refused(_, _, ceiling) => ceiling.seconds,
                Expected::DoesNotApply(_) => 0,
            },
        }
    }

    pub(super) fn run(self, binary: &Path, mended: bool) -> Result<Outcome> {
        match self {
            Self::Cell(fault, phase) => cell::run(binary, fault, phase, mended),
        }
    }
}
