//! `gc`: deletes what no version needs any more.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::exit::Exit;
use super::failure::Failure;
use super::{Context, live, output, slots};
use crate::clock;
use crate::control::{Reply, Request};
use crate::digest::Digest;
use crate::disk::RealDisk;
use crate::gc::{self, Delete, Listing};
use crate::limits::Limits;
use crate::lock::StoreLock;
use crate::logging::printable;

/// How long is waited for a pull that is under way.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Serialize)]
struct Answer {
    dry_run: bool,
    /// Relative to `storage/v1`.
    deleted: Vec<String>,
    findings: Vec<String>,
}

pub(super) fn run(context: &Context, dry_run: bool, json: bool) -> Result<Exit, Failure> {
    // Before the lock: what runs may hold none of the slots, after a rollback for example.
    let running = running(context);
    let layout = &context.layout;
    let lock = StoreLock::take(layout, "gc", PATIENCE, |holder| {
        tracing::info!(event = "waiting", holder, "waiting for the store, in use by {holder}");
    })
    .map_err(|error| Failure::new(error.remedy().into(), error.to_string()))?;
    let slots = slots::read(context)?;
    let keep = slots.named().into_iter().chain(running).collect();
    let rejected = rejected(&slots, clock::unix_seconds());
    let (deleted, findings) = if dry_run {
        let listing = Listing::read(&RealDisk, layout, &keep, &rejected, &Limits::default())?;
        let plan =
            gc::plan(&listing.keep.versions, listing.keep.complete, &listing.present, &listing.references);
        (plan.deletes, [listing.findings, plan.findings].concat())
    } else {
        let report = gc::collect(&lock, &RealDisk, layout, &keep, &rejected)?;
        (report.deleted, report.findings)
    };
    let deleted = deleted.iter().map(|delete| name(context, delete)).collect();
    let answer = Answer { dry_run, deleted, findings };
    output::answer(json, &answer, text(&answer).trim_end())?;
    Ok(Exit::Success)
}

/// The version that runs, if a supervisor tells.
fn running(context: &Context) -> Option<Digest> {
    match live::ask(context, &Request::Status) {
        Ok(Some(Reply::Status(status))) => status.supervisor?.running,
        _ => None,
    }
}

fn rejected(slots: &crate::slots::Slots, now: u64) -> BTreeSet<Digest> {
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
