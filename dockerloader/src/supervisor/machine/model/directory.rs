//! What a data directory holds, small enough to be kept a million times.

use std::fmt;

use crate::digest::Digest;
use crate::layout::Slot;
use crate::slots::{Crashes, Link, Memory, Named, Slots, Step, Trial, Verdict, VerdictKind};

/// A version: `A`, `B` or `C`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u8);

/// How many versions there can be.
pub(super) const VERSIONS: usize = 3;
/// The time of day, which decides nothing but the end of pauses.
pub(super) const TODAY: u64 = 1_800_000_000;
const PROGRAM: &str = "entrypoint";

impl Version {
    pub(super) fn all(count: usize) -> impl Iterator<Item = Self> {
        (0..VERSIONS.min(count)).filter_map(|number| u8::try_from(number).ok()).map(Self)
    }

    pub(super) const fn digest(self) -> Digest {
        Digest::from_bytes([0xa0 + self.0; 32])
    }

    pub(super) fn of(digest: &Digest) -> Self {
        Self::all(VERSIONS).find(|version| version.digest() == *digest).expect("a version of the model")
    }

    pub(super) fn named(self) -> Named {
        Named { digest: self.digest(), program: PROGRAM.to_owned() }
    }

    pub(super) const fn number(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", char::from(b'A' + self.0))
    }
}

/// What a slot's path holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Held {
    Nothing,
    Version(Version),
    Foreign,
}

/// The tree of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Tree {
    Missing,
    Whole,
    /// It is there, but can't be executed.
    Damaged,
}

/// What is written about a version. Whether a passing verdict came from the environment or from interruptions changes nothing that
/// can happen next, and one whose pause is over is as good as none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Judged {
    No,
    App,
    Passing,
    Operator,
}

/// All that a decision depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Directory {
    /// In the order current, attempt, attempting, previous.
    pub(super) links: [Held; 4],
    pub(super) trees: [Tree; VERSIONS],
    pub(super) judged: [Judged; VERSIONS],
    /// The version on trial, its attempts, and what it replaces.
    pub(super) trial: Option<(Version, u32, Option<Version>)>,
    pub(super) probation: Option<(Version, u32)>,
    pub(super) crashes: Option<(Version, u32)>,
    /// `update-attempt`.
    pub(super) marker: Option<Version>,
}

/// Crashes that are told apart; what is over is the same.
const MOST_CRASHES: u32 = 3;

pub(super) const fn index(slot: Slot) -> usize {
    match slot {
        Slot::Current => 0,
        Slot::Attempt => 1,
        Slot::Attempting => 2,
        Slot::Previous => 3,
    }
}

impl Directory {
    /// On the day the device was made.
    pub(super) const EMPTY: Self = Self {
        links: [Held::Nothing; 4],
        trees: [Tree::Missing; VERSIONS],
        judged: [Judged::No; VERSIONS],
        trial: None,
        probation: None,
        crashes: None,
        marker: None,
    };

    pub(super) fn held(&self, slot: Slot) -> Option<Version> {
        match self.links[index(slot)] {
            Held::Version(version) => Some(version),
            Held::Nothing | Held::Foreign => None,
        }
    }

    /// What a slot names and can be run.
    pub(super) fn runnable(&self, slot: Slot) -> Option<Version> {
        self.held(slot).filter(|version| self.trees[version.number()] == Tree::Whole)
    }

    /// Every version that a slot or the record of a trial names.
    pub(super) fn named(&self) -> Vec<Version> {
        let slots = Slot::ALL.iter().filter_map(|slot| self.held(*slot));
        let trial = self.trial.iter().flat_map(|(version, _, from)| [Some(*version), *from]).flatten();
        slots.chain(trial).collect()
    }

    /// As it is read from the disk.
    pub(super) fn slots(&self) -> Slots {
        let mut slots = Slots::default();
        for slot in Slot::ALL {
            *slots.link_mut(slot) = match self.links[index(slot)] {
                Held::Nothing => Link::Absent,
                Held::Foreign => Link::Foreign("a file, not a link".to_owned()),
                Held::Version(version) if self.trees[version.number()] == Tree::Missing => {
                    Link::Dangling(version.named())
                }
                Held::Version(version) => Link::Version(version.named()),
            };
        }
        slots.memory = self.memory();
        slots.update_attempt = self.marker.map(Version::digest);
        slots
    }

    fn memory(&self) -> Memory {
        let crashes = |(version, count): (Version, u32)| Crashes { digest: version.digest(), count };
        let mut memory = Memory::default();
        for version in Version::all(VERSIONS) {
            let kind = match self.judged[version.number()] {
                Judged::No => continue,
                Judged::App => VerdictKind::App,
                Judged::Passing => VerdictKind::Environment,
                Judged::Operator => VerdictKind::Operator,
            };
            memory.verdicts.push(Verdict {
                digest: version.digest(),
                kind,
                reason: String::new(),
                at: TODAY,
                uptime: None,
                times: 1,
                output: Vec::new(),
            });
        }
        memory.trial = self.trial.map(|(version, attempts, from)| Trial {
            digest: version.digest(),
            attempts,
            from: from.map(|from| (from.digest(), PROGRAM.to_owned())),
        });
        memory.probation = self.probation.map(crashes);
        memory.crashes = self.crashes.map(crashes);
        memory
    }

    fn remember(&mut self, memory: &Memory) {
        let crashes = |crashes: &Crashes| (Version::of(&crashes.digest), crashes.count.min(MOST_CRASHES));
        self.judged = [Judged::No; VERSIONS];
        for verdict in &memory.verdicts {
            self.judged[Version::of(&verdict.digest).number()] = match verdict.kind {
                VerdictKind::App => Judged::App,
                VerdictKind::Environment | VerdictKind::Interrupted => Judged::Passing,
                VerdictKind::Operator => Judged::Operator,
            };
        }
        self.trial = memory.trial.as_ref().map(|trial| {
            let from = trial.from.as_ref().map(|(digest, _)| Version::of(digest));
            (Version::of(&trial.digest), trial.attempts, from)
        });
        self.probation = memory.probation.as_ref().map(crashes);
        self.crashes = memory.crashes.as_ref().map(crashes);
    }

    /// What a step makes of it. Each is one rename or removal, or a write that ends in one.
    pub(super) fn perform(&mut self, step: &Step) {
        match step {
            Step::Remember(memory) => self.remember(memory),
            Step::MarkAttempt(digest) => self.marker = Some(Version::of(digest)),
            Step::UnmarkAttempt => self.marker = None,
            Step::Move { from, to } => {
                self.links[index(*to)] = self.links[index(*from)];
                self.links[index(*from)] = Held::Nothing;
            }
            Step::Point { slot, version } => {
                self.links[index(*slot)] = Held::Version(Version::of(&version.digest));
            }
            Step::Clear(slot) | Step::SetAside(slot) => self.links[index(*slot)] = Held::Nothing,
        }
    }
}

/// `A B . A`, with what is written about them: current, attempt, attempting, previous.
impl fmt::Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for held in self.links {
            match held {
                Held::Nothing => write!(f, ". ")?,
                Held::Foreign => write!(f, "! ")?,
                Held::Version(version) => {
                    let mark = match self.trees[version.number()] {
                        Tree::Whole => "",
                        Tree::Missing => "~",
                        Tree::Damaged => "#",
                    };
                    write!(f, "{mark}{version} ")?;
                }
            }
        }
        for version in Version::all(VERSIONS) {
            if self.judged[version.number()] != Judged::No {
                write!(f, " {version}:{:?}", self.judged[version.number()])?;
            }
        }
        if let Some((version, attempts, _)) = self.trial {
            write!(f, " trial {version} x{attempts}")?;
        }
        if let Some((version, crashes)) = self.probation {
            write!(f, " probation {version} x{crashes}")?;
        }
        match self.marker {
            Some(marker) => write!(f, " update-attempt {marker}"),
            None => Ok(()),
        }
    }
}
