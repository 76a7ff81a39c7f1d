//! A device for the tests of what is shown.

use jiff::tz::TimeZone;

use super::View;
use crate::report::{
    ContainerReport, DocumentReport, DriftReport, EngineReport, PassReport, PassedOverReport, RegistryReport,
    Report, VersionReport,
};

/// 2026-11-26 07:30:00 UTC.
pub(in crate::cli) const NOW: i64 = 1_795_678_200;

/// Without a terminal.
pub(in crate::cli) fn view() -> View {
    View { width: None, colours: false, now: NOW, zone: TimeZone::UTC }
}

/// A terminal.
pub(in crate::cli) fn columns(width: usize) -> View {
    View { width: Some(width), ..view() }
}

/// A version of `acme/NAME`.
pub(in crate::cli) fn version(name: &str, version: &str, digit: char) -> VersionReport {
    VersionReport {
        version: version.into(),
        digest: format!("sha256:{}", digit.to_string().repeat(64)),
        repository: format!("registry.example/acme/{name}"),
        id: None,
    }
}

/// One that is as it has to be.
pub(in crate::cli) fn settled(id: &str, tag: &str, digit: char) -> ContainerReport {
    ContainerReport {
        id: id.into(),
        image: format!("acme/{id}"),
        status: "settled".into(),
        why: format!("runs {tag}, the best acceptable version"),
        wanted: Some(version(id, tag, digit)),
        current: Some(version(id, tag, digit)),
        container: Some("0123456789abcdef".repeat(4)),
        state: "running".into(),
        started: Some("2026-11-23T05:10:00.5Z".into()),
        ..ContainerReport::default()
    }
}

/// One that was rolled back, and is not healthy.
pub(in crate::cli) fn troubled() -> ContainerReport {
    ContainerReport {
        status: "blocked".into(),
        why: "2.1.1 was rolled back: it ended with 1 after 3 s; 2.1.0 runs until there is another acceptable version".into(),
        health: Some("unhealthy".into()),
        restarts: 3,
        drift: vec![DriftReport {
            field: "environment.LEVEL".into(),
            wanted: Some("debug".into()),
            found: Some("info".into()),
        }],
        ports: vec!["0.0.0.0:8080->80/tcp".into()],
        overrides: vec!["tag 2.1".into()],
        next_look: Some(245),
        passed_over: vec![PassedOverReport {
            version: "2.1.1".into(),
            digest: Some(version("web", "2.1.1", 'd').digest),
            why: "it ended with 1 after 3 s".into(),
        }],
        kept: vec![VersionReport { id: Some(7), ..version("web", "2.0.7", 'e') }],
        ..settled("web", "2.1.0", 'b')
    }
}

/// One that is being replaced.
pub(in crate::cli) fn proving() -> ContainerReport {
    ContainerReport {
        status: "proving".into(),
        why: "4.2.0 runs for 6 s of 10 s, and answers".into(),
        current: Some(version("camera", "4.1.9", 'c')),
        wanted: Some(version("camera", "4.2.0", 'f')),
        started: Some("2026-11-26T07:29:54Z".into()),
        operation: Some("01JDH0000000000000000000AB".into()),
        ..settled("camera", "4.1.9", 'c')
    }
}

/// A device with one of each kind.
pub(in crate::cli) fn report() -> Report {
    Report {
        version: "0.1.0".into(),
        device: Some("shop-17".into()),
        at: NOW,
        engine: EngineReport {
            up: true,
            name: "Docker Engine - Community 20.10.24".into(),
            api: "1.41".into(),
            problem: None,
            since: NOW - 86_400,
        },
        document: DocumentReport {
            revision: 12,
            etag: "\"r12\"".into(),
            file: "/data/deviced/device.yaml".into(),
            problem: None,
        },
        containers: vec![settled("database", "15.4.0", 'a'), troubled(), proving()],
        strays: Vec::new(),
        registries: vec![
            RegistryReport {
                url: "https://cache.shop.example:5000".into(),
                up: true,
                latency_ms: Some(3.4),
                rank: 1,
                requests: 412,
                ..RegistryReport::default()
            },
            RegistryReport {
                url: "https://registry.example".into(),
                rank: 2,
                problem: Some("connection refused".into()),
                pause: Some(95),
                requests: 8,
                ..RegistryReport::default()
            },
        ],
        images: Vec::new(),
        pass: PassReport { count: 9, took_ms: 4.2, calls: 4, at: NOW },
    }
}
