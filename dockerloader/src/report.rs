//! [`Slots`] -> [`Status`]: what the disk alone tells. The supervisor adds what only it knows.

use crate::disk::Disk;
use crate::layout::{Layout, Slot};
use crate::slots::{Policy, Slots};
use crate::status::{Condition, Health, Probation, Rejected, Status, Version};
use crate::volume;

/// The status of one data directory as if no supervisor were alive. Dates that can't be read are left out.
pub fn report(disk: &(impl Disk + ?Sized), layout: &Layout, slots: &Slots, target: Option<String>) -> Status {
    let version = |slot: Slot| {
        slots.link(slot).version().map(|named| Version {
            digest: named.digest,
            executable: layout.tree(&named.digest).join(&named.program).display().to_string(),
            since: disk.modified(&layout.slot(slot)).ok(),
        })
    };
    Status {
        target,
        supervisor: None,
        current: version(Slot::Current),
        previous: version(Slot::Previous),
        staged: version(Slot::Attempt),
        trying: version(Slot::Attempting),
        probation: slots.memory.probation.as_ref().map(|crashes| Probation {
            digest: crashes.digest,
            crashes: crashes.count,
            budget: Policy::default().crashes,
            seconds_left: None,
        }),
        rejected: rejected(disk, layout, slots),
        last_check: slots.memory.last_check.clone(),
        trees: volume::recall(disk, layout).map(|memory| memory.trees),
        health: health(disk, layout),
        findings: [slots.findings.clone(), crate::state_files::findings(disk, layout, slots)].concat(),
    }
}

/// What was found that is worth a person's attention.
fn health(disk: &(impl Disk + ?Sized), layout: &Layout) -> Vec<Health> {
    let all = crate::health::read(disk, layout);
    all.into_iter().rev().filter(|health| health.condition != Condition::Intact).collect()
}

fn rejected(disk: &(impl Disk + ?Sized), layout: &Layout, slots: &Slots) -> Vec<Rejected> {
    // The contract's marker without a verdict: the memory was lost, or another writer of the contract put it there.
    let marked = slots.update_attempt.filter(|digest| slots.memory.verdict(digest).is_none());
    let marked = marked.map(|digest| Rejected {
        digest,
        kind: "app".to_owned(),
        reason: "update-attempt says that an attempt failed".to_owned(),
        at: disk.modified(&layout.update_attempt()).unwrap_or(0),
        retry_seconds: None,
        output: Vec::new(),
    });
    let judged = slots.memory.verdicts.iter().rev().map(|verdict| Rejected {
        digest: verdict.digest,
        kind: verdict.kind.name().to_owned(),
        reason: verdict.reason.clone(),
        at: verdict.at,
        retry_seconds: verdict.retry_seconds(),
        output: verdict.output.clone(),
    });
    marked.into_iter().chain(judged).collect()
}
