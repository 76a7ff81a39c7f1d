//! The history against real files.

mod bounds;
mod damage;
mod disk;
mod round_trip;

use std::time::Duration;

use dockerloader::digest::Digest;
use serde_json::json;

use super::{History, Operation, OperationState, Verdict, Version};
use crate::choose::Offer;
use crate::desired::Target;
use crate::engine::{ContainerId, ImageId};
use crate::spec::Spec;
use crate::swap::{Cause, Drift, Failure, Reason, Stage, Swap};

fn digest(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

fn target(byte: u8) -> Target {
    Target {
        digest: digest(byte),
        version: format!("1.{byte}"),
        repository: "registry.example/acme/web".to_owned(),
        image: Some(ImageId(digest(byte).to_string())),
        spec: serde_json::from_value::<Spec>(json!({"Env": ["LEVEL=\"ü\""], "HostConfig": {"Init": true}}))
            .unwrap(),
    }
}

fn failure(reason: Reason) -> Failure {
    Failure { reason, text: "it ended with 1, 3 s after its start".to_owned() }
}

fn version(container: &str, byte: u8) -> Version {
    Version {
        id: 0,
        container: container.to_owned(),
        target: target(byte),
        revision: 3,
        operation: format!("operation-{byte}"),
        cause: Cause::Drift(vec![Drift {
            field: "ports".to_owned(),
            wanted: Some("80".to_owned()),
            found: None,
        }]),
        who: "socket:0".to_owned(),
        began: 1_000_000 + i64::from(byte),
        ended: None,
        failure: None,
        took: Duration::from_millis(4_321),
        probation: Duration::from_secs(600),
        crashes: 0,
    }
}

fn verdict(container: &str, byte: u8, reason: Reason) -> Verdict {
    Verdict {
        container: container.to_owned(),
        digest: digest(byte),
        version: format!("1.{byte}"),
        spec: target(byte).spec.hash(),
        failure: failure(reason),
        at: 1_000_000,
        attempts: 1,
        log: vec!["panic: no such table".to_owned(), "\u{1b}[31mred\u{1b}[0m".to_owned()],
    }
}

fn swap(container: &str, stage: Stage) -> Swap {
    Swap {
        container: container.to_owned(),
        operation: format!("swap-of-{container}"),
        cause: Cause::Version,
        old: Some(ContainerId("c".repeat(64))),
        old_ran: true,
        target: target(9),
        stage,
        interrupted: 1,
    }
}

fn operation(id: &str, container: Option<&str>) -> Operation {
    Operation {
        id: id.to_owned(),
        container: container.map(str::to_owned),
        kind: "swap".to_owned(),
        who: "token".to_owned(),
        state: OperationState::Running,
        stage: "create".to_owned(),
        text: "the new container is created".to_owned(),
        progress: None,
        began: 1_000_000,
        ended: None,
    }
}

fn offer(byte: u8) -> Offer {
    Offer {
        entry: Some(0),
        version: format!("1.{byte}"),
        digest: digest(byte),
        repository: "registry.example/acme/web".to_owned(),
        registry: "https://registry.example".to_owned(),
        known_for: Duration::from_millis(1_500),
    }
}

/// One that has something in every table.
fn full(history: &History) {
    history.add_revision("apiVersion: deviced/v1\ncontainers: []\n", "file").unwrap();
    let stopped = super::Override { stopped: true, ..Default::default() };
    history.set_override("web", &stopped).unwrap();
    history.record_swap(&swap("web", Stage::Prove)).unwrap();
    history.commit_version(&version("web", 1)).unwrap();
    history.judge(&verdict("web", 2, Reason::App)).unwrap();
    history.keep_log("swap-of-web", &["one".to_owned()]).unwrap();
    history.add_known("registry.example/acme/web", &digest(1), Duration::from_secs(1)).unwrap();
    history.set_offers("web", &[offer(1)]).unwrap();
    history.begin(&operation("swap-of-web", Some("web"))).unwrap();
    history.happen("swap", Some("web"), "1.1 comes").unwrap();
    history.idempotency("key", "fingerprint").unwrap();
}
