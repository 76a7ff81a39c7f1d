//! `pull`: what the target names, brought on disk and staged; the result is the last line.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::exit::Exit;
use super::failure::Failure;
use super::progress::{self, Display};
use super::{Context, gc, repair, slots};
use crate::clock;
use crate::digest::Digest;
use crate::progress::Progress;
use crate::pull::{self, Outcome, Request};
use crate::reference::Reference;
use crate::remedy::Remedy;

/// How long is waited for whoever changes the store.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);

/// The last line of `--json`.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename = "result")]
pub(super) struct Answer {
    pub(super) outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) digest: Option<Digest>,
    /// Why a version was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    /// What helps against it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<Remedy>,
}

pub(super) fn run(context: &Context, stage: bool, again: bool, json: bool) -> Result<Exit, Failure> {
    let answer = match bring(context, stage, again, Arc::new(Display::new(json))) {
        Ok(outcome) => answer(outcome),
        Err(error) if json => failed(&error),
        Err(error) => return Err(error.into()),
    };
    finish(&answer, json)
}

fn bring(context: &Context, stage: bool, again: bool, progress: Arc<dyn Progress>) -> Result<Outcome, Error> {
    let now = clock::moment();
    let slots = slots::read(context).map_err(Error::Local)?;
    // A version whose tree is gone is not up to date, whatever the link says.
    let current = slots.attempting.version().or(slots.current.version()).map(|named| named.digest);
    let rejected = slots::judged(&slots)
        .into_iter()
        .filter_map(|digest| Some((digest, slots.rejected(&digest, &now)?)))
        .collect();
    let reference = target(context)?;
    let method = context.settings.tree_method;
    let request = Request { reference, stage, current, rejected, again, method, wait: PATIENCE };
    match execute(context, &request, Arc::clone(&progress)) {
        Err(Error::Pull(error)) if error.is_full() && gc::make_room(context) => {
            execute(context, &request, progress)
        }
        brought => brought,
    }
}

/// Runs one pull to its end.
pub(super) fn execute(
    context: &Context,
    request: &Request,
    progress: Arc<dyn Progress>,
) -> Result<Outcome, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Local(Failure::new(Exit::Local, format!("cannot start: {error}"))))?;
    Ok(runtime.block_on(pull::pull(request, &context.settings.registry, &context.layout, progress))?)
}

pub(super) fn target(context: &Context) -> Result<Reference, Error> {
    context.settings.target.clone().ok_or_else(|| {
        let message = "DOCKERLOADER_TARGET is not set: it names the image to follow, for example registry.example/app:stable";
        Error::Local(Failure::new(Exit::Configuration, message))
    })
}

/// Why there is no outcome.
#[derive(Debug)]
pub(super) enum Error {
    Pull(pull::Error),
    Local(Failure),
}

impl From<pull::Error> for Error {
    fn from(error: pull::Error) -> Self {
        Self::Pull(error)
    }
}

impl Error {
    pub(super) fn remedy(&self) -> Remedy {
        match self {
            Self::Pull(error) => error.remedy(),
            Self::Local(_) => Remedy::Local,
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pull(error) => error.fmt(f),
            Self::Local(failure) => failure.fmt(f),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Pull(error) => Self::new(error.remedy().into(), error.to_string()),
            Error::Local(failure) => failure,
        }
    }
}

fn answer(outcome: Outcome) -> Answer {
    let (outcome, digest, reason) = match outcome {
        Outcome::Staged { digest } => ("staged", digest, None),
        Outcome::Installed { digest } => ("installed", digest, None),
        Outcome::UpToDate { digest } => ("up_to_date", digest, None),
        Outcome::Skipped { digest, reason } => ("skipped", digest, Some(reason)),
    };
    Answer { outcome, digest: Some(digest), reason, error: None, remedy: None }
}

pub(super) fn failed(error: &Error) -> Answer {
    let (error, remedy) = (Some(error.to_string()), Some(error.remedy()));
    Answer { outcome: "failed", digest: None, reason: None, error, remedy }
}

/// Tells the answer, and chooses the exit code that goes with it.
pub(super) fn finish(answer: &Answer, json: bool) -> Result<Exit, Failure> {
    if json {
        progress::json(answer);
    } else {
        super::output::print(&format!("{}\n", text(answer)))?;
    }
    Ok(answer.remedy.map_or(Exit::Success, Exit::from))
}

fn text(answer: &Answer) -> String {
    let digest = answer.digest.map(|digest| digest.to_string()).unwrap_or_default();
    match (answer.outcome, &answer.reason, &answer.error) {
        ("staged", ..) => format!("{digest} is staged: it is tried at the application's next start"),
        ("installed", ..) => format!("{digest} is on disk; pull --stage has it tried"),
        ("up_to_date", ..) => format!("already running the latest version, {digest}"),
        ("skipped", Some(reason), _) => format!(
            "skipping update to {digest}: {reason}; to have it tried again: dockerloader forget {digest}"
        ),
        ("restored", ..) => format!("{digest} is restored"),
        (_, _, Some(error)) => error.clone(),
        (outcome, ..) => outcome.replace('_', " "),
    }
}

/// `restore`.
pub(super) fn restore(context: &Context, digest: Digest, offline: bool, json: bool) -> Result<Exit, Failure> {
    repair::restore(context, digest, offline, json, &(Arc::new(Display::new(json)) as Arc<dyn Progress>))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: Digest = Digest::from_bytes([1; 32]);

    #[test]
    fn the_last_line_is_the_supervisors_contract() {
        let line = |answer: &Answer| serde_json::to_value(answer).unwrap();
        assert_eq!(
            line(&answer(Outcome::Staged { digest: DIGEST })),
            serde_json::json!({ "event": "result", "outcome": "staged", "digest": DIGEST })
        );
        assert_eq!(
            line(&answer(Outcome::Skipped { digest: DIGEST, reason: "it hung".into() })),
            serde_json::json!({ "event": "result", "outcome": "skipped", "digest": DIGEST, "reason": "it hung" })
        );
        let error = Error::Local(Failure::new(Exit::Configuration, "no target"));
        assert_eq!(
            line(&failed(&error)),
            serde_json::json!({ "event": "result", "outcome": "failed", "error": "no target", "remedy": "local" })
        );
    }

    #[test]
    fn the_exit_code_follows_the_remedy() {
        for (remedy, exit) in [(Remedy::Later, Exit::Unavailable), (Remedy::Corrupt, Exit::Data)] {
            let answer =
                Answer { outcome: "failed", digest: None, reason: None, error: None, remedy: Some(remedy) };
            assert_eq!(finish(&answer, true).unwrap(), exit);
        }
    }
}
