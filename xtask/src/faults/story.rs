//! Stories: more than one host, or more than one pull, goes wrong in a way that happened to others.

use std::path::Path;

use fixtures::registry::{Kind, Rule};

use super::alone::STORIES;
use super::cell::Outcome;
use super::chunked::CHUNKED;
use super::content::{Content, VERSION};
use super::expected::{Ceiling, Expected, Remedy};
use super::judge::judge;
use super::mirrors::MIRRORS;
use super::observe;
use super::phase::Phase;
use super::world::{Shape, World};
use crate::failure::{Context as _, Result};

/// One story: what happens, and what is expected of the pull at its end.
pub(super) struct Story {
    pub(super) name: &'static str,
    /// What happens.
    pub(super) what: &'static str,
    pub(super) expected: Expected,
    /// Bytes of blobs that the pull may cost, in tenths of the layer.
    pub(super) tenths: u64,
    /// The version that is to be on disk then.
    pub(super) content: fn() -> &'static Content,
    /// Makes it happen.
    pub(super) set: fn(&mut World, &Path) -> Result,
}

/// The pull succeeds with so many requests at most.
pub(super) const fn right(requests: usize) -> Expected {
    Expected::Right(Ceiling { requests, seconds: 55 })
}

/// The pull is given up, and says these words.
pub(super) const fn refused(remedy: Remedy, says: &'static [&'static str], requests: usize) -> Expected {
    Expected::Refused(remedy, says, Ceiling { requests, seconds: 30 })
}

/// The version of the cells.
pub(super) fn version() -> &'static Content {
    &VERSION
}

/// All requests for the layer.
pub(super) fn layer() -> Rule {
    World::rule(Phase::Blob)
}

/// All requests for layers and configs.
pub(super) fn blobs() -> Rule {
    Rule::on(Kind::Blob)
}

/// Half of the layer, for a connection to break there.
pub(super) const HALF: u64 = 150 << 10;

/// Every story.
pub(super) fn all() -> impl Iterator<Item = &'static Story> {
    STORIES.iter().chain(MIRRORS).chain(CHUNKED)
}

/// Makes what is staged the current version.
pub(super) fn promote(world: &World) -> Result {
    let root = world.data().join("dockerloader");
    std::fs::rename(root.join("entrypoint-attempt"), root.join("entrypoint")).context("promote a version")
}

impl Story {
    pub(super) fn run(&self, binary: &Path) -> Result<Outcome> {
        let mut world = World::new(&Shape::default())?;
        (self.set)(&mut world, binary)?;
        let second = world.second.host();
        world.at_fault.push(second);
        let content = (self.content)();
        let seen = observe::pull(binary, &world, content)?;
        let mut bad = judge(self.expected, &seen, &content.image.digest, &world.at_fault);
        let size = content.image.layers.first().map_or(0, |layer| layer.bytes.len() as u64);
        let most = size * self.tenths / 10;
        if seen.sent > most && self.tenths > 0 {
            bad.push(format!("{} bytes were sent, expected {most} at most", seen.sent));
        }
        Ok(Outcome { bad, seen, runs: 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_every_story_is_told() {
        let mut names: Vec<_> = all().map(|story| story.name).collect();
        assert!(all().all(|story| story.what.ends_with('.')));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all().count());
    }
}
