//! Why a version can't be taken, and for how long.

use std::time::Duration;

use dockerloader::digest::Digest;

use super::Input;
use super::candidates::{Candidate, Source, Wish, known_for};
use super::local::Local;
use crate::document::quantity::Span;
use crate::history::Verdict;
use crate::spec::SpecHash;
use crate::swap::Reason;

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Objection {
    pub(super) why: String,
    /// For how long; for ever without it.
    pub(super) left: Option<Duration>,
}

/// The first pause after a failure that was not the version's doing. It doubles with each attempt.
const PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// What speaks against a version.
pub(super) fn objection(
    input: &Input<'_>,
    local: &Local<'_>,
    wish: &Wish<'_>,
    candidate: &Candidate,
) -> Option<Objection> {
    let spec = input.spec.hash();
    let runs_so = local
        .running
        .as_ref()
        .is_some_and(|running| running.is_up && running.digest == candidate.digest && running.spec == spec);
    if runs_so && input.swap.is_none() {
        // A pause is for what is to be tried, not for what runs.
        return final_verdict(input, &candidate.digest, &spec).map(|why| Objection { why, left: None });
    }
    judged(input, &candidate.digest, &spec).or_else(|| too_young(input, wish, candidate))
}

/// What verdicts say against a version with a spec.
pub(super) fn judged(input: &Input<'_>, digest: &Digest, spec: &SpecHash) -> Option<Objection> {
    if let Some(why) = final_verdict(input, digest, spec) {
        return Some(Objection { why, left: None });
    }
    let paused = verdicts(input, digest, spec).filter_map(|verdict| {
        let left =
            pause(verdict.attempts).checked_sub(since(verdict, input.now)).filter(|left| !left.is_zero())?;
        let why = format!(
            "{}; it is tried again in {} (attempt {})",
            verdict.failure.text,
            Span(Duration::from_secs(left.as_secs())),
            verdict.attempts.saturating_add(1)
        );
        Some(Objection { why, left: Some(left) })
    });
    paused.max_by_key(|objection| objection.left)
}

/// What is final: the version failed by its own doing, or somebody rolled back from it.
pub(super) fn final_verdict(input: &Input<'_>, digest: &Digest, spec: &SpecHash) -> Option<String> {
    verdicts(input, digest, spec).find_map(|verdict| match verdict.failure.reason {
        Reason::App => Some(format!("it failed with these options: {}", verdict.failure.text)),
        Reason::Operator => Some(verdict.failure.text.clone()),
        Reason::Environment | Reason::Interrupted => None,
    })
}

fn verdicts<'a>(
    input: &'a Input<'_>,
    digest: &'a Digest,
    spec: &'a SpecHash,
) -> impl Iterator<Item = &'a Verdict> {
    input.verdicts.iter().filter(move |verdict| {
        verdict.container == input.container.id && verdict.digest == *digest && verdict.spec == *spec
    })
}

/// 1 min, 2, 4, ... 1 h.
fn pause(attempts: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1).min(16));
    PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
}

/// Since a verdict. A clock that was set back shortens the pause rather than making it last for years.
fn since(verdict: &Verdict, now: i64) -> Duration {
    u64::try_from(now.saturating_sub(verdict.at)).map_or(LONGEST_PAUSE, Duration::from_secs)
}

/// Whether a version has been out too short. What somebody asked for by name, and what was here already, is not.
fn too_young(input: &Input<'_>, wish: &Wish<'_>, candidate: &Candidate) -> Option<Objection> {
    let minimum = input.container.update.minimum_age.0;
    if input.hurried || matches!(wish, Wish::Said(_)) || candidate.source == Source::Running {
        return None;
    }
    let ran = input.versions.iter().any(|version| version.target.digest == candidate.digest);
    let known = known_for(input, &candidate.digest)?;
    let left = minimum.checked_sub(known).filter(|left| !left.is_zero() && !ran)?;
    let (known, of) = (Span(Duration::from_secs(known.as_secs())), Span(minimum));
    Some(Objection {
        why: format!("it has been known for {known}, and `minimumAge` is {of}"),
        left: Some(left),
    })
}
