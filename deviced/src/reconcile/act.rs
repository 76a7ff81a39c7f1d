//! What somebody wants done to a container -> what changes, or why not. Pure.

use crate::document::versions::Acceptable;
use crate::engine::ContainerId;
use crate::history::{Override, Version};
use crate::manager::{Action, Refusal};
use crate::plan::Step;

/// What is known of the container.
pub(super) struct Subject<'a> {
    pub(super) container: &'a str,
    pub(super) protected: bool,
    /// What was said about it before.
    pub(super) said: &'a Override,
    /// The operation of a replacement, or of a worker, that is under way.
    pub(super) busy: Option<&'a str>,
    /// Its containers in the engine, the current one first.
    pub(super) containers: &'a [ContainerId],
    /// Whether the current one runs.
    pub(super) runs: bool,
    /// What it has run, the newest first.
    pub(super) versions: &'a [Version],
    /// Whether the image of a version is there.
    pub(super) has_image: &'a dyn Fn(&Version) -> bool,
    /// Whether run options can be changed so.
    pub(super) fits: &'a dyn Fn(&serde_json::Value) -> Result<(), String>,
}

/// What an action changes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Change {
    /// What is said about the container from now on.
    pub(super) said: Override,
    /// What is done at once.
    pub(super) steps: Vec<Step>,
    /// Windows and minimum ages are not waited for.
    pub(super) hurries: bool,
    /// The registries are asked.
    pub(super) asks: bool,
    /// Verdicts on this digest are lifted.
    pub(super) forgets: Option<String>,
    /// Somebody can follow it.
    pub(super) operation: Option<&'static str>,
}

/// Decides about an action.
///
/// # Errors
/// [`Refusal`].
pub(super) fn decide(action: &Action, subject: &Subject<'_>) -> Result<Change, Refusal> {
    let change = Change { said: subject.said.clone(), ..Change::default() };
    let current = || {
        subject.containers.first().cloned().ok_or_else(|| {
            Refusal::Wrong(format!(
                "{} has no container yet; `why {0}` says what it waits for",
                subject.container
            ))
        })
    };
    match action {
        Action::Start => {
            let mut change = change;
            let was_stopped = std::mem::take(&mut change.said.stopped);
            if !subject.runs && !was_stopped && subject.busy.is_none() {
                change.steps = vec![Step::Start(current()?)];
            }
            change.operation = (was_stopped || !subject.runs).then_some("start");
            Ok(change)
        }
        Action::Stop => {
            allowed(subject, "stopped")?;
            idle(subject)?;
            let operation = (!subject.said.stopped || subject.runs).then_some("stop");
            Ok(Change { said: Override { stopped: true, ..change.said }, operation, ..Change::default() })
        }
        Action::Restart => {
            allowed(subject, "restarted")?;
            idle(subject)?;
            let id = current()?;
            let steps = vec![Step::Stop(id.clone()), Step::Start(id)];
            Ok(Change { steps, operation: Some("restart"), ..change })
        }
        Action::Remove => {
            allowed(subject, "removed")?;
            idle(subject)?;
            let gone = |id: &ContainerId| [Step::Stop(id.clone()), Step::Remove(id.clone())];
            let steps: Vec<_> = subject.containers.iter().flat_map(gone).collect();
            let operation = (!steps.is_empty()).then_some("remove");
            Ok(Change { steps, operation, ..change })
        }
        Action::Update => {
            idle(subject)?;
            Ok(Change { hurries: true, asks: true, operation: Some("update"), ..change })
        }
        Action::Rollback(to) => {
            idle(subject)?;
            let version = way_back(subject, *to)?;
            let said = Override { pinned: Some(version.id), ..change.said };
            // Whoever goes back to it wants it, whatever was said of it.
            let forgets = Some(version.target.digest.to_string());
            Ok(Change { said, hurries: true, forgets, operation: Some("rollback"), ..Change::default() })
        }
        Action::Release => {
            let operation = change.said.pinned.map(|_| "release");
            Ok(Change {
                said: Override { pinned: None, ..change.said },
                asks: true,
                operation,
                ..Change::default()
            })
        }
        Action::Pause => Ok(Change { said: Override { paused: true, ..change.said }, ..Change::default() }),
        Action::Resume => Ok(Change { said: Override { paused: false, ..change.said }, ..Change::default() }),
        Action::Tag(tag) => {
            if let Some(tag) = tag
                && !matches!(Acceptable::read(tag), Ok(Acceptable::Tag(_)))
            {
                return Err(Refusal::Wrong(format!(
                    "{tag:?} is no tag; write one, for example 1.4.2 or latest"
                )));
            }
            let said = Override { tag: tag.clone(), pinned: None, ..change.said };
            Ok(Change { said, hurries: true, asks: true, operation: Some("tag"), ..Change::default() })
        }
        Action::Arguments(patch) => {
            if let Some(patch) = patch {
                (subject.fits)(patch).map_err(Refusal::Wrong)?;
            }
            let said = Override { run: patch.clone(), ..change.said };
            Ok(Change { said, hurries: true, operation: Some("arguments"), ..Change::default() })
        }
        Action::Forget(digest) => Ok(Change { forgets: Some(digest.clone()), asks: true, ..change }),
    }
}

fn allowed(subject: &Subject<'_>, action: &'static str) -> Result<(), Refusal> {
    if subject.protected {
        return Err(Refusal::Protected { container: subject.container.to_owned(), action });
    }
    Ok(())
}

fn idle(subject: &Subject<'_>) -> Result<(), Refusal> {
    match subject.busy {
        Some(operation) => {
            Err(Refusal::Busy { container: subject.container.to_owned(), operation: operation.to_owned() })
        }
        None => Ok(()),
    }
}

/// The version to go back to, checked before anything is stopped.
fn way_back<'a>(subject: &Subject<'a>, to: Option<i64>) -> Result<&'a Version, Refusal> {
    let current = subject.versions.iter().find(|version| version.ended.is_none());
    let differs = |version: &&Version| {
        current.is_none_or(|current| {
            version.target.digest != current.target.digest || version.target.spec != current.target.spec
        })
    };
    let found = match to {
        Some(id) => subject.versions.iter().find(|version| version.id == id),
        None => subject
            .versions
            .iter()
            .filter(|version| version.failure.is_none() && (subject.has_image)(version))
            .find(differs),
    };
    let container = subject.container;
    let version = found.ok_or_else(|| {
        Refusal::NoVersion(match to {
            Some(id) => format!("{container} has no version {id}; `history {container}` lists them"),
            None => format!("{container} has no version before this one whose image is still here"),
        })
    })?;
    if !(subject.has_image)(version) {
        let text = format!(
            "the image of version {} ({}) of {container} is not here any more; `tag {container} {1}` fetches it again",
            version.id, version.target.version
        );
        return Err(Refusal::NoVersion(text));
    }
    Ok(version)
}
