//! `gc`: deletes what no version needs any more.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::exit::Exit;
use super::failure::Failure;
use super::{Context, live, output, slots};
use crate::blobs::space;
use crate::clock::{self, Moment};
use crate::control::{Reply, Request};
use crate::digest::Digest;
use crate::disk::RealDisk;
use crate::gc::{self, Delete, Listing};
use crate::limits::Limits;
use crate::lock::StoreLock;
use crate::logging::printable;
use crate::volume::{self, Method, Wanted};

/// How long is waited for a pull that is under way.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Serialize)]
struct Answer {
    dry_run: bool,
    /// Relative to `storage/v1`.
    deleted: Vec<String>,
    /// The version whose tree is kept as the spare one.
    #[serde(skip_serializing_if = "Option::is_none")]
    spare: Option<Digest>,
    findings: Vec<String>,
}

/// Cleans up, the spare tree included, because a pull lacks room; whether that gave anything back. Never goes what I3 names.
pub(super) fn make_room(context: &Context) -> bool {
    let running = running(context);
    let made = take_lock(context).and_then(|lock| {
        let slots = slots::read(context)?;
        let keep = slots.named().into_iter().chain(running).collect();
        let rejected = rejected(&slots, &clock::moment());
        Ok(gc::collect(&lock, &RealDisk, &context.layout, &keep, &rejected, false)?)
    });
    match made {
        Ok(report) if report.deleted.is_empty() => false,
        Ok(report) => {
            tracing::info!(
                event = "room_made",
                "the pull lacks room: a clean-up removed {} things that no version needs; trying once more",
                report.deleted.len()
            );
            true
        }
        Err(failure) => {
            tracing::warn!(event = "clean_up_failed", "{failure}");
            false
        }
    }
}

fn take_lock(context: &Context) -> Result<StoreLock, Failure> {
    StoreLock::take(&context.layout, "gc", PATIENCE, |holder| {
        tracing::info!(event = "waiting", holder, "waiting for the store, in use by {holder}");
    })
    .map_err(|error| Failure::new(error.remedy().into(), error.to_string()))
}

pub(super) fn run(context: &Context, all: bool, dry_run: bool, json: bool) -> Result<Exit, Failure> {
    // Before the lock: what runs may hold none of the slots, after a rollback for example.
    let running = running(context);
    let layout = &context.layout;
    let lock = take_lock(context)?;
    let spare = !all && keeps_spare(context);
    let slots = slots::read(context)?;
    let keep = slots.named().into_iter().chain(running).collect();
    let rejected = rejected(&slots, &clock::moment());
    let (deleted, spare, findings) = if dry_run {
        let listing = Listing::read(&RealDisk, layout, &keep, &rejected, &Limits::default())?;
        let plan = listing.plan(spare);
        (plan.deletes, plan.spare, [listing.findings, plan.findings].concat())
    } else {
        let report = gc::collect(&lock, &RealDisk, layout, &keep, &rejected, spare)?;
        // What is no version's: attempts at what the volume can do, and files that were about to be written.
        volume::overlay::remove_leftovers(layout)
            .map_err(|error| Failure::new(error.remedy().into(), error.to_string()))?;
        space::keep_reserve(layout);
        (report.deleted, report.spare, report.findings)
    };
    let deleted = deleted.iter().map(|delete| name(context, delete)).collect();
    let answer = Answer { dry_run, deleted, spare, findings };
    output::answer(json, &answer, text(&answer).trim_end())?;
    Ok(Exit::Success)
}

/// Whether the method that trees are made by on this volume has a use for a spare one.
fn keeps_spare(context: &Context) -> bool {
    let method = volume::recall(&RealDisk, &context.layout).and_then(|memory| memory.trees.method);
    context.settings.tree_method != Wanted::Extract && method.is_some_and(Method::uses_spare)
}

/// The version that runs, if a supervisor tells.
fn running(context: &Context) -> Option<Digest> {
    match live::ask(context, &Request::Status) {
        Ok(Some(Reply::Status(status))) => status.supervisor?.running,
        _ => None,
    }
}

fn rejected(slots: &crate::slots::Slots, now: &Moment) -> BTreeSet<Digest> {
    slots::judged(slots).into_iter().filter(|digest| slots.rejected(digest, now).is_some()).collect()
}

fn name(context: &Context, delete: &Delete) -> String {
    let path = delete.folder.path(&context.layout).join(&delete.name);
    path.strip_prefix(context.layout.storage()).unwrap_or(&path).display().to_string()
}

fn text(answer: &Answer) -> String {
    let mut text = String::new();
    let verb = if answer.dry_run { "would delete" } else { "deleted" };
    for name in &answer.deleted {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{verb} {}", printable(name));
    }
    if answer.deleted.is_empty() {
        text.push_str("nothing to delete\n");
    }
    if let Some(spare) = &answer.spare {
        let _ = writeln!(text, "the next version is made from the spare tree of {}", spare.short());
    }
    for finding in &answer.findings {
        let _ = writeln!(text, "left alone: {}", printable(finding));
    }
    text
}

impl From<gc::Error> for Failure {
    fn from(error: gc::Error) -> Self {
        Self::new(error.remedy().into(), error.to_string())
    }
}
