//! One container in full.

use super::names::{short, tag, version};
use super::time::{ago, moment, seconds};
use super::{Tone, View, duration};
use crate::report::{ContainerReport, VersionReport};

/// Where values begin.
const INDENT: usize = 13;

/// The container.
pub(in crate::cli) fn container(container: &ContainerReport, view: &View) -> String {
    let mut text = String::new();
    let mut row = |head: &str, tone: Tone, value: &str| {
        if !value.is_empty() {
            text.push_str(&view.paragraph(INDENT, head, tone, value));
        }
    };
    row("container", Tone::Plain, &container.id);
    row("status", tone(container), &container.status);
    row("why", Tone::Plain, &container.why);
    row("image", Tone::Plain, &container.image);
    row("current", Tone::Plain, &container.current.as_ref().map_or_else(|| "none".into(), full));
    if container.wanted != container.current {
        row("wanted", Tone::Warn, &container.wanted.as_ref().map_or_else(|| "none".into(), full));
    }
    let (state, state_tone) = life(container);
    row("state", state_tone, &state);
    if let Some(at) = container.started.as_deref().and_then(seconds) {
        let ago = ago(at, view).map_or_else(String::new, |ago| format!(" ({ago} ago)"));
        row("started", Tone::Plain, &format!("{}{ago}", moment(at, view)));
    }
    if container.restarts > 0 {
        row("restarts", Tone::Warn, &container.restarts.to_string());
    }
    row("engine's id", Tone::Plain, &container.container.as_deref().map(short).unwrap_or_default());
    row("ports", Tone::Plain, &container.ports.join(", "));
    row("mounts", Tone::Plain, &container.mounts.join("\n"));
    row("devices", Tone::Plain, &container.devices.join(", "));
    row("by hand", Tone::Warn, &container.overrides.join(", "));
    if container.protected {
        row("protected", Tone::Plain, "nobody may stop or remove it by hand");
    }
    let drift: Vec<_> = container.drift.iter().map(super::plan::difference).collect();
    row("differs", Tone::Warn, &drift.join("\n"));
    let passed: Vec<_> = container
        .passed_over
        .iter()
        .map(|passed| format!("{}: {}", tag(&passed.version), passed.why))
        .collect();
    row("passed over", Tone::Plain, &passed.join("\n"));
    let kept: Vec<_> = container.kept.iter().map(kept).collect();
    row("kept", Tone::Plain, &kept.join("\n"));
    if let Some(operation) = &container.operation {
        row("operation", Tone::Plain, operation);
    }
    if let Some(left) = container.next_look {
        row("next look", Tone::Plain, &format!("in {}", duration(left)));
    }
    text
}

/// `1.4.2  3f2a...  registry.example/acme/web`.
fn full(report: &VersionReport) -> String {
    let digest = short(&report.digest);
    let parts = [
        version(report),
        if version(report) == digest { String::new() } else { digest },
        report.repository.clone(),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ")
}

fn kept(report: &VersionReport) -> String {
    report.id.map_or_else(|| full(report), |id| format!("#{id}  {}", full(report)))
}

/// How its status looks.
pub(super) fn tone(container: &ContainerReport) -> Tone {
    match container.status.as_str() {
        "settled" => Tone::Good,
        "acting" | "proving" | "waiting" => Tone::Warn,
        "blocked" => Tone::Bad,
        _ => Tone::Quiet,
    }
}

/// What it does and how well, and how that looks: `running, healthy`, `exited (1)`.
pub(super) fn life(container: &ContainerReport) -> (String, Tone) {
    let state = match (container.state.as_str(), container.exit_code) {
        ("exited" | "dead", Some(code)) => format!("{} ({code})", container.state),
        (state, _) => state.to_owned(),
    };
    match (container.health.as_deref(), container.state.as_str()) {
        (Some("healthy"), "running") => (format!("{state}, healthy"), Tone::Good),
        (Some("unhealthy"), "running") => (format!("{state}, unhealthy"), Tone::Bad),
        (Some(health), "running") => (format!("{state}, {health}"), Tone::Warn),
        (_, "running") => (state, Tone::Good),
        _ if matches!(container.status.as_str(), "stopped" | "paused") => (state, Tone::Quiet),
        _ => (state, Tone::Bad),
    }
}

/// How long it has run.
pub(super) fn since(container: &ContainerReport, view: &View) -> String {
    let started = container.started.as_deref().filter(|_| container.state == "running");
    started.and_then(seconds).and_then(|at| ago(at, view)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_container_in_full() {
        let text = container(&sample::troubled(), &sample::columns(80));
        assert_eq!(text, include_str!("golden/container.txt"));
    }

    #[test]
    fn what_a_container_does_is_told_with_how_well() {
        let report = |state: &str, health: Option<&str>, code: Option<i64>, status: &str| ContainerReport {
            state: state.into(),
            health: health.map(Into::into),
            exit_code: code,
            status: status.into(),
            ..ContainerReport::default()
        };
        for (state, health, code, status, text, tone) in [
            ("running", None, None, "settled", "running", Tone::Good),
            ("running", Some("healthy"), None, "settled", "running, healthy", Tone::Good),
            ("running", Some("starting"), None, "proving", "running, starting", Tone::Warn),
            ("running", Some("unhealthy"), None, "settled", "running, unhealthy", Tone::Bad),
            ("exited", None, Some(137), "acting", "exited (137)", Tone::Bad),
            ("exited", None, Some(0), "stopped", "exited (0)", Tone::Quiet),
            ("missing", None, None, "waiting", "missing", Tone::Bad),
        ] {
            assert_eq!(life(&report(state, health, code, status)), (text.to_owned(), tone));
        }
    }
}
