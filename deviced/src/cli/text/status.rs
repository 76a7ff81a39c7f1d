//! A whole device: a line for each container, and what is wrong in full.

use super::container::{life, since, tone};
use super::names::change;
use super::table::{Table, cell, plain};
use super::time::ago;
use super::{Tone, View};
use crate::report::{ContainerReport, Report};

/// Where the text of a problem begins.
const INDENT: usize = 2;

/// The device.
pub(in crate::cli) fn status(report: &Report, view: &View) -> String {
    let mut text = header(report, view);
    if report.containers.is_empty() && report.strays.is_empty() {
        let none = match report.document.revision {
            0 => "There is no document yet: `deviced apply FILE` puts one in force.",
            _ => "The document names no container.",
        };
        text.push_str(&format!("\n{none}\n"));
    } else {
        text.push('\n');
        text.push_str(&table(report, view));
    }
    let problems = problems(report, view);
    if !problems.is_empty() {
        text.push('\n');
        text.push_str(&problems);
    }
    text
}

fn header(report: &Report, view: &View) -> String {
    let name = report.device.as_deref().unwrap_or("this device");
    let document = match report.document.revision {
        0 => "no document".to_owned(),
        revision => format!("document r{revision}"),
    };
    let engine = match (report.engine.up, report.engine.name.as_str()) {
        (false, _) => "the engine does not answer".to_owned(),
        (true, "") => "the engine answers".to_owned(),
        (true, name) => format!("{name} (API {})", report.engine.api),
    };
    let name = (name.chars().count(), view.paint(Tone::Strong, name));
    let parts = [document, format!("deviced {}", report.version), engine];
    let parts = parts.map(|part| (part.chars().count(), part));
    // On as many lines as they need.
    let (mut text, mut length) = (String::new(), 0);
    for (number, (long, part)) in std::iter::once(name).chain(parts).enumerate() {
        let gap = if number == 0 { 0 } else { 2 };
        if view.width.is_some_and(|width| length + gap + long > width) && number > 0 {
            text.push('\n');
            length = 0;
        } else {
            text.push_str(&" ".repeat(gap));
            length += gap;
        }
        text.push_str(&part);
        length += long;
    }
    text.push('\n');
    text
}

fn table(report: &Report, view: &View) -> String {
    let mut table = Table::new(&["CONTAINER", "STATUS", "VERSION", "STATE", "SINCE", "WHY"]);
    let strays = report.strays.iter().map(|stray| (stray, true));
    for (container, is_stray) in report.containers.iter().map(|container| (container, false)).chain(strays) {
        let status = if is_stray { "not named" } else { container.status.as_str() };
        let (state, state_tone) = life(container);
        table.row(vec![
            plain(&container.id),
            cell(if is_stray { Tone::Quiet } else { tone(container) }, status),
            plain(change(container.current.as_ref(), container.wanted.as_ref())),
            cell(state_tone, state),
            plain(since(container, view)),
            cell(Tone::Quiet, if quiet(container) { "" } else { &container.why }),
        ]);
    }
    table.text(view)
}

/// Nothing has to be said about it.
fn quiet(container: &ContainerReport) -> bool {
    container.status == "settled"
}

/// Everything that somebody should know of, in full.
fn problems(report: &Report, view: &View) -> String {
    let mut text = String::new();
    let mut say = |head: &str, what: &str| {
        text.push_str(&view.paint(Tone::Bad, head));
        text.push('\n');
        text.push_str(&view.paragraph(INDENT, "", Tone::Plain, what));
    };
    if let Some(problem) = &report.engine.problem {
        let since = ago(report.engine.since, view).map_or_else(String::new, |ago| format!(", for {ago}"));
        say(&format!("the engine{since}:"), problem);
    }
    if let Some(problem) = &report.document.problem {
        say(&format!("{} is not in force:", report.document.file), problem);
    }
    for container in &report.containers {
        let held_up = matches!(container.status.as_str(), "blocked" | "waiting");
        let how = [
            held_up.then_some(container.status.as_str()),
            container.health.as_deref().filter(|health| *health == "unhealthy"),
        ];
        let how: Vec<_> = how.into_iter().flatten().collect();
        if !how.is_empty() {
            say(&format!("{} is {}:", container.id, how.join(" and ")), &container.why);
        }
    }
    for registry in report.registries.iter().filter(|registry| !registry.up) {
        if let Some(problem) = &registry.problem {
            let pause = registry
                .pause
                .map_or_else(String::new, |left| format!("; asked again in {}", super::duration(left)));
            say(&format!("{}:", registry.url), &format!("{problem}{pause}"));
        }
    }
    if let Some(stray) = report.strays.first() {
        let others = report.strays.len() - 1;
        let more = if others == 0 { String::new() } else { format!(" and {others} more") };
        say(
            &format!("{}{more}:", stray.id),
            "the document does not name it any more; `removeUnknown` says what becomes of such containers",
        );
    }
    if report.containers.iter().any(|container| container.status == "blocked") {
        text.push_str(&view.paint(Tone::Quiet, "`deviced why ID` says more.\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_device_at_120_columns() {
        let text = status(&sample::report(), &sample::columns(120));
        assert_eq!(text, include_str!("golden/status-120.txt"));
    }

    #[test]
    fn a_device_at_80_columns() {
        let text = status(&sample::report(), &sample::columns(80));
        assert_eq!(text, include_str!("golden/status-80.txt"));
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn a_device_without_document_and_engine() {
        let mut report = crate::report::Report { version: "0.1.0".into(), ..Default::default() };
        report.engine.problem = Some("/var/run/docker.sock: no such file".into());
        report.engine.since = sample::NOW - 75;
        assert_eq!(status(&report, &sample::columns(80)), include_str!("golden/status-empty.txt"));
    }

    #[test]
    fn what_the_document_no_longer_names_is_shown() {
        let mut report = sample::report();
        report.containers.truncate(1);
        report.registries.clear();
        let mut stray = sample::settled("old", "1.0.0", '9');
        stray.state = "exited".into();
        stray.exit_code = Some(143);
        report.strays = vec![stray.clone(), stray];
        report.document.problem = Some("3:1: containers is missing".into());
        assert_eq!(status(&report, &sample::columns(80)), include_str!("golden/status-strays.txt"));
    }
}
