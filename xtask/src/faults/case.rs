//! All cases, and their names.

use std::path::Path;

use super::cell::{self, Outcome};
use super::expected::Expected;
use super::fault::Fault;
use super::phase::Phase;
use super::start::{STARTS, Start};
use super::story::{self, Story};
use super::table::{self, expected};
use crate::failure::Result;

/// Something that is run and judged by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    /// A fault in a phase of a pull.
    Cell(Fault, Phase),
    /// A story, by its place in the table.
    Story(usize),
    /// A start of the supervisor, by its place in the table.
    Start(usize),
}

impl Case {
    /// Every case there is, those that wait longest first.
    pub(super) fn all() -> Vec<Self> {
        let cells = Fault::ALL.iter().flat_map(|fault| Phase::ALL.map(|phase| Self::Cell(*fault, phase)));
        let stories = (0..story::all().count()).map(Self::Story);
        let mut all: Vec<_> = cells.chain(stories).chain((0..STARTS.len()).map(Self::Start)).collect();
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
            Self::Story(number) => number.is_multiple_of(2),
            Self::Start(number) => STARTS.get(number).is_some_and(Start::is_quick),
        }
    }

    pub(super) fn name(self) -> String {
        match self {
            Self::Cell(fault, phase) => format!("{fault}/{phase}"),
            Self::Story(number) => format!("story/{}", story(number).map_or("", |story| story.name)),
            Self::Start(number) => format!("start/{}", STARTS.get(number).map_or("", |start| start.name)),
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
            Self::Cell(fault, _) => format!("{} {}", fault.what(), self.expected()),
            Self::Story(number) => {
                let what = story(number).map_or("", |story| story.what);
                format!("{what} {}", self.expected())
            }
            Self::Start(number) => STARTS.get(number).map(Start::expectation).unwrap_or_default(),
        }
    }

    fn expected(self) -> Expected {
        match self {
            Self::Cell(fault, phase) => expected(fault, phase),
            Self::Story(number) => story(number).map_or(table::RIGHT, |story| story.expected),
            Self::Start(_) => table::RIGHT,
        }
    }

    /// What stands in the matrix when it came.
    pub(super) fn symbol(self) -> String {
        self.expected().symbol()
    }

    fn patience(self) -> u64 {
        match self.expected() {
            Expected::Right(ceiling) | Expected::Refused(_, _, ceiling) => ceiling.seconds,
            Expected::DoesNotApply(_) => 0,
        }
    }

    pub(super) fn run(self, binary: &Path, mended: bool) -> Result<Outcome> {
        match self {
            Self::Cell(fault, phase) => cell::run(binary, fault, phase, mended),
            Self::Story(number) => {
                story(number).map_or_else(|| Ok(Outcome::default()), |story| story.run(binary))
            }
            Self::Start(number) => {
                STARTS.get(number).map_or_else(|| Ok(Outcome::default()), |start| start.run(binary))
            }
        }
    }
}

fn story(number: usize) -> Option<&'static Story> {
    story::all().nth(number)
}
