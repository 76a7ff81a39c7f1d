//! Which version a container has to be: acceptable ones, offers, verdicts -> one. Pure.

mod local;

mod candidates;
mod objection;

#[cfg(test)]
mod tests;

use std::time::Duration;

use dockerloader::digest::Digest;
use serde::{Deserialize, Serialize};

use crate::desired::Target;
use crate::document::container::Container;
use crate::history::{Override, Verdict, Version};
use crate::observed::Observed;
use crate::spec::Spec;
use crate::swap::Swap;

use candidates::{Candidate, Source, Wish};
use local::Local;

/// A registry, or the engine itself, has a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// Which entry of the container's `versions` it is, from 0; the number of entries for the fallback; `None` for a tag that somebody set.
    pub entry: Option<usize>,
    /// The tag; the digest itself where the entry is one.
    pub version: String,
    /// What the tag stands for: the digest of a manifest or index.
    pub digest: Digest,
    /// `host[:port]/repository`: where it is pulled from.
    pub repository: String,
    /// The registry's URL; `engine` for an image that is there already.
    pub registry: String,
    /// How long this device has known it, by time that deviced was running.
    pub known_for: Duration,
}

/// What was chosen, and what was not.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The version, or why there is none.
    pub target: Result<Target, String>,
    /// The best one whose image is here, if that of the target is not: what may be started at once when nothing runs.
    pub meanwhile: Option<Target>,
    /// So long what is there is not to be made anew: that failed, and not by its doing.
    pub rest: Option<Duration>,
    /// In a sentence, why it is this one.
    pub why: String,
    /// Better ones that it could not be, best first.
    pub passed_over: Vec<PassedOver>,
    /// When it may be another one although no registry says anything new.
    pub again: Option<Duration>,
}

/// A version that would have been better.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    /// Its tag.
    pub version: String,
    /// Its digest, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Why not.
    pub why: String,
}

/// What a choice is made from.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The container in the document.
    pub container: &'a Container,
    /// What somebody said over it.
    pub said: &'a Override,
    /// How the document wants it to run.
    pub spec: &'a Spec,
    /// What registries have, the closest first. Of two digests of one tag the one that was seen first less long ago counts.
    pub offers: &'a [Offer],
    /// Whether the registries have been asked since deviced started.
    pub was_asked: bool,
    /// What went wrong the last time: registry, problem.
    pub problems: &'a [(String, String)],
    /// The engine's containers and images.
    pub observed: &'a Observed,
    /// A replacement that is under way.
    pub swap: Option<&'a Swap>,
    /// What it has run, the newest first.
    pub versions: &'a [Version],
    /// Verdicts, of other containers too.
    pub verdicts: &'a [Verdict],
    /// Somebody wants it updated now: no version is too young.
    pub hurried: bool,
    /// Seconds since 1970 by the device's clock, as in the verdicts.
    pub now: i64,
}

/// Chooses a version.
///
/// In this order: the version that somebody rolled back to; the tag that somebody set; the document's versions, best first, and within a range
/// the highest; the fallback tag; what ran last. An image that the engine has, and what runs now, count as offered: so an older or silent
/// registry takes nothing back. A tag that moved is followed.
pub fn choose(input: &Input<'_>) -> Choice {
    let local = Local::new(input);
    let mut draft = Draft { input, local: &local, passed_over: Vec::new(), again: None };
    let mut choice = draft.choose();
    if choice.target.as_ref().is_ok_and(|target| target.image.is_none()) {
        // The best one may be far away: what of the rest is here?
        let mut draft = Draft { input, local: &local, passed_over: Vec::new(), again: None };
        choice.meanwhile = draft.first(true).unwrap_or_else(|| draft.hold()).target.ok();
    }
    choice.rest = local.running.as_ref().and_then(|running| {
        objection::judged(input, &running.digest, &running.spec).and_then(|objection| objection.left)
    });
    choice
}

struct Draft<'a> {
    input: &'a Input<'a>,
    local: &'a Local<'a>,
    passed_over: Vec<PassedOver>,
    again: Option<Duration>,
}

impl Draft<'_> {
    fn choose(&mut self) -> Choice {
        if let Some(number) = self.input.said.pinned
            && let Some((target, why)) = self.pinned(number)
        {
            return self.end(Ok(target), why);
        }
        self.first(false).unwrap_or_else(|| self.hold())
    }

    /// The first version that nothing speaks against.
    fn first(&mut self, has_to_be_here: bool) -> Option<Choice> {
        for wish in candidates::wishes(self.input) {
            let candidates = candidates::best_first(&wish, self.input, self.local);
            if candidates.is_empty() {
                self.pass_over(&wish.to_string(), None, self.unknown());
            }
            for candidate in candidates {
                if has_to_be_here && self.local.image(&candidate.digest).is_none() {
                    continue;
                }
                if let Some(choice) = self.consider(&wish, &candidate) {
                    return Some(choice);
                }
            }
        }
        None
    }

    fn end(&self, target: Result<Target, String>, why: String) -> Choice {
        let (passed_over, again) = (self.passed_over.clone(), self.again);
        Choice { target, meanwhile: None, rest: None, why, passed_over, again }
    }

    fn pass_over(&mut self, version: &str, digest: Option<Digest>, why: String) {
        let passed_over = PassedOver { version: version.to_owned(), digest, why };
        if !self.passed_over.contains(&passed_over) {
            self.passed_over.push(passed_over);
        }
    }

    fn look_again(&mut self, after: Option<Duration>) {
        self.again = self.again.into_iter().chain(after).min();
    }

    /// Why nothing is known of a version.
    fn unknown(&self) -> String {
        match (self.input.was_asked, self.input.problems.first()) {
            (false, _) => "no registry has been asked yet".to_owned(),
            (true, Some((registry, problem))) => format!("{registry}: {problem}"),
            (true, None) => "no registry has it".to_owned(),
        }
    }

    /// The version that somebody rolled back to, with the spec that it ran with.
    fn pinned(&mut self, number: i64) -> Option<(Target, String)> {
        let Some(version) = self.input.versions.iter().find(|version| version.id == number) else {
            self.pass_over(
                &format!("version {number}"),
                None,
                "the history does not have it any more".to_owned(),
            );
            return None;
        };
        let target = self.local.with_image(&version.target);
        if let Some(objection) = objection::final_verdict(self.input, &target.digest, &target.spec.hash()) {
            self.pass_over(&target.version, Some(target.digest), objection);
            return None;
        }
        let why =
            format!("{} is what somebody rolled back to; it stays until it is released", target.version);
        Some((target, why))
    }

    fn consider(&mut self, wish: &Wish<'_>, candidate: &Candidate) -> Option<Choice> {
        if let Some(objection) = objection::objection(self.input, self.local, wish, candidate) {
            self.look_again(objection.left);
            self.pass_over(&candidate.version, Some(candidate.digest), objection.why);
            return None;
        }
        let target = Target {
            digest: candidate.digest,
            version: candidate.version.clone(),
            repository: candidate.repository.clone(),
            image: self.local.image(&candidate.digest),
            spec: self.input.spec.clone(),
        };
        let best =
            if self.passed_over.is_empty() { "the best version" } else { "the best version that can be had" };
        let from = match &candidate.source {
            Source::Registry(registry) => format!("offered by {registry}"),
            Source::Running => "it is what runs".to_owned(),
            Source::Engine => "its image is here".to_owned(),
        };
        let why = format!("{} is {best} ({wish}): {from}", target.version);
        Some(self.end(Ok(target), why))
    }

    /// Nothing acceptable is known: what ran last goes on, or the one before it that nobody judged.
    fn hold(&mut self) -> Choice {
        for (index, version) in self.input.versions.iter().enumerate() {
            let held = self.local.with_image(&version.target);
            if held.image.is_none() {
                continue;
            }
            let wanted = Target { spec: self.input.spec.clone(), ..held.clone() };
            // Only what ran last follows the document's options: of the others it is known that they work with their own.
            let tried = if index == 0 { vec![wanted, held] } else { vec![held] };
            for target in tried {
                let judged = objection::judged(self.input, &target.digest, &target.spec.hash());
                match judged {
                    None => {
                        let why =
                            format!("no acceptable version can be had; {} is what ran last", target.version);
                        return self.end(Ok(target), why);
                    }
                    Some(objection) => {
                        self.look_again(objection.left);
                        self.pass_over(&target.version, Some(target.digest), objection.why);
                    }
                }
            }
        }
        if let Some(running) = self.local.running.as_ref()
            && objection::judged(self.input, &running.digest, &self.input.spec.hash()).is_none()
            && self.input.versions.is_empty()
        {
            let target = Target {
                digest: running.digest,
                version: running.version.clone(),
                repository: running.repository.clone(),
                image: self.local.image(&running.digest),
                spec: self.input.spec.clone(),
            };
            let why = format!("no acceptable version can be had; {} is what runs", target.version);
            return self.end(Ok(target), why);
        }
        let reasons: Vec<_> =
            self.passed_over.iter().map(|passed| format!("{}: {}", passed.version, passed.why)).collect();
        let why = format!("no acceptable version can be had ({})", reasons.join("; "));
        self.end(Err(why.clone()), why)
    }
}
