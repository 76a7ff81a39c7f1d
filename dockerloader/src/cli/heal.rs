//! `verify --repair`, `pull --repair`, and what the supervisor has looked at: each version that a slot names, or one.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;

use super::arguments::{DigestPrefix, Supervised};
use super::exit::Exit;
use super::failure::Failure;
use super::progress::{self, Display};
use super::pull::PATIENCE;
use super::{Context, live, output, repair, slots};
use crate::control::{Reply, Request};
use crate::digest::Digest;
use crate::heal::{self, Extent, Options, Report};
use crate::logging::printable;
use crate::progress::Progress;
use crate::remedy::Remedy;
use crate::status::Condition;
use crate::tree::Depth;

/// Findings of a version that the text lists; JSON has all.
const LISTED: usize = 20;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish<'w> {
    pub(super) full: bool,
    pub(super) offline: bool,
    /// By the name `pull --repair`.
    pub(super) is_pull: bool,
    pub(super) supervised: Option<Supervised>,
    pub(super) prefix: Option<&'w DigestPrefix>,
    pub(super) json: bool,
}

/// The last line of `--json`.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename = "result")]
struct Answer {
    /// `intact`, `repaired` or `damaged`; `failed` when nothing can be known.
    outcome: &'static str,
    /// The versions that are damaged still.
    digests: Vec<Digest>,
    /// Only that they run keeps them from being repaired.
    repairable: bool,
    /// What is executed of them is whole.
    runnable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<Remedy>,
}

/// One version's line of `--json`.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "verified")]
struct Line<'l> {
    #[serde(flatten)]
    report: &'l Report,
    /// Of a repaired version: `blobs` or `registry`.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'static str>,
}

impl<'l> Line<'l> {
    fn new(report: &'l Report) -> Self {
        let from = if report.fetched { "registry" } else { "blobs" };
        Self { report, from: (report.condition == Condition::Repaired).then_some(from) }
    }
}

pub(super) fn run(context: &Context, wish: Wish<'_>) -> Result<Exit, Failure> {
    let named = slots::read(context)?.named();
    let wanted = match wish.prefix {
        None => named,
        Some(prefix) => vec![prefix.resolve(named)?],
    };
    if wish.supervised == Some(Supervised::Background) {
        // Whatever else runs on the machine comes first. Where that is not permitted, it takes what it takes.
        let _ = rustix::process::nice(19);
    }
    let running = running(context, wish.supervised);
    let progress: Arc<dyn Progress> = Arc::new(Display::new(wish.json));
    let reports: Vec<_> = wanted
        .iter()
        .map(|version| {
            let options = options(context, wish, version, running);
            let report =
                heal::heal(&context.layout, version, &options, &context.settings.registry, &progress);
            if wish.json {
                progress::json(&Line::new(&report));
            }
            report
        })
        .collect();
    let mut answer = answer(&reports);
    if wish.is_pull && answer.outcome == "intact" {
        // What this command has always said.
        answer.outcome = "up_to_date";
    }
    if wish.json {
        progress::json(&answer);
    } else {
        output::print(&text(&reports))?;
    }
    Ok(match answer.outcome {
        "intact" | "up_to_date" | "repaired" => Exit::Success,
        _ => answer.remedy.map_or(Exit::Failed, Exit::from),
    })
}

fn options(context: &Context, wish: Wish<'_>, version: &Digest, running: Option<Digest>) -> Options {
    let tree = if wish.full || wish.supervised.is_none() { Depth::Full } else { Depth::Quick };
    let store = wish.supervised != Some(Supervised::Start);
    let target = context.settings.target.as_ref().filter(|_| !wish.offline);
    Options {
        extent: Extent { tree, store: store && tree == Depth::Full },
        repair: true,
        everything: wish.supervised.is_none(),
        reference: target.and_then(|target| repair::of_version(target, version).ok()),
        is_idle: running != Some(*version),
        wait: PATIENCE,
    }
}

/// The version whose tree may not be changed now.
fn running(context: &Context, supervised: Option<Supervised>) -> Option<Digest> {
    // The supervisor waits for it, and runs nothing.
    if supervised == Some(Supervised::Start) {
        return None;
    }
    match live::ask(context, &Request::Status) {
        Ok(Some(Reply::Status(status))) => status.supervisor?.running,
        _ => None,
    }
}

fn answer(reports: &[Report]) -> Answer {
    let damaged: Vec<_> = reports.iter().filter(|report| report.condition == Condition::Damaged).collect();
    let unknown = damaged.iter().any(|report| report.unknown);
    let outcome = if unknown {
        "failed"
    } else if !damaged.is_empty() {
        "damaged"
    } else if reports.iter().any(|report| report.condition == Condition::Repaired) {
        "repaired"
    } else {
        "intact"
    };
    let errors: BTreeSet<&str> = damaged.iter().filter_map(|report| report.error.as_deref()).collect();
    let error = errors.into_iter().collect::<Vec<_>>().join("; ");
    Answer {
        outcome,
        digests: damaged.iter().map(|report| report.digest).collect(),
        repairable: !damaged.is_empty() && error.is_empty(),
        runnable: damaged.iter().all(|report| report.runnable),
        error: (!error.is_empty()).then_some(error),
        remedy: damaged.iter().find_map(|report| report.remedy),
    }
}

fn text(reports: &[Report]) -> String {
    let mut text = String::new();
    for report in reports {
        let what = match report.condition {
            Condition::Intact => "intact".to_owned(),
            Condition::Repaired if report.fetched => "repaired, with what the registry has".to_owned(),
            Condition::Repaired => "repaired from what is on disk".to_owned(),
            Condition::Damaged => match &report.error {
                Some(error) => format!("damaged: {}", printable(error)),
                None => "damaged; it runs, and is repaired when it is stopped".to_owned(),
            },
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}: {what}", report.digest.short());
        for found in report.findings.iter().take(LISTED) {
            let _ = writeln!(text, "  {} {}", printable(&found.name), printable(&found.problem));
        }
        if let Some(more) = report.findings.len().checked_sub(LISTED).filter(|more| *more > 0) {
            let _ = writeln!(text, "  and {more} more; --json lists all");
        }
        if report.quarantined > 0 {
            let _ = writeln!(text, "  {} kept in the quarantine until the next clean-up", report.quarantined);
        }
    }
    if reports.is_empty() {
        text.push_str("no slot names a version here\n");
    }
    text
}
