//! What would be done, like a diff.

use super::names::tag;
use super::{Tone, View};
use crate::report::{DriftReport, PlanReport, PlannedReport};

/// Where what differs begins.
const INDENT: usize = 4;

/// The plan, and a line that sums it up.
pub(in crate::cli) fn plan(plan: &PlanReport, view: &View) -> String {
    let mut text = String::new();
    for resource in &plan.resources {
        text.push_str(&view.paragraph(2, "+", Tone::Good, resource));
    }
    for planned in &plan.containers {
        container(planned, view, &mut text);
    }
    text.push_str(&summary(plan));
    text.push('\n');
    text
}

fn container(planned: &PlannedReport, view: &View, text: &mut String) {
    let (sign, tone) = match planned.action.as_str() {
        "create" => ("+", Tone::Good),
        "remove" => ("-", Tone::Bad),
        "keep" | "wait" => ("=", Tone::Quiet),
        _ => ("~", Tone::Warn),
    };
    let mut line = format!("{sign} {} {}", planned.action, planned.id);
    let (from, to) = (planned.from.as_deref().map(tag), planned.to.as_deref().map(tag));
    match (from, to) {
        (Some(from), Some(to)) if from == to => line.push_str(&format!(" {from}")),
        (Some(from), Some(to)) => line.push_str(&format!(" {from} -> {to}")),
        (Some(version), None) | (None, Some(version)) => line.push_str(&format!(" {version}")),
        (None, None) => {}
    }
    text.push_str(&view.paint(tone, &dockerloader::logging::printable(&line)));
    text.push('\n');
    for drift in &planned.drift {
        text.push_str(&view.paragraph(INDENT, "", Tone::Plain, &difference(drift)));
    }
    // What is kept has no reason that anybody asks for; a wait has.
    if planned.action != "keep" && !planned.why.is_empty() {
        text.push_str(&view.paragraph(INDENT, "", Tone::Quiet, &planned.why));
    }
}

/// `environment.LEVEL: info -> debug`.
pub(super) fn difference(drift: &DriftReport) -> String {
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
    match (&drift.found, &drift.wanted) {
        // Values of the environment are not shown.
        (found, wanted) if found == wanted => format!("{}: differs", drift.field),
        (found, wanted) => format!("{}: {} -> {}", drift.field, shown(found), shown(wanted)),
    }
}

fn summary(plan: &PlanReport) -> String {
    if !plan.changes {
        return "Nothing to do: everything is as it has to be.".to_owned();
    }
    let count = |action: &str| plan.containers.iter().filter(|planned| planned.action == action).count();
    let mut parts: Vec<_> = ["create", "replace", "repair", "start", "stop", "remove"]
        .into_iter()
        .map(|action| (count(action), format!("to {action}")))
        .chain([(count("wait"), "waiting".to_owned())])
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    match plan.resources.len() {
        0 => {}
        1 => parts.push("1 network or volume".to_owned()),
        number => parts.push(format!("{number} networks and volumes")),
    }
    let kept = count("keep");
    if kept > 0 {
        parts.push(format!("{kept} unchanged"));
    }
    let summary = parts.join(", ");
    if summary.is_empty() { "Something would be done.".to_owned() } else { format!("{summary}.") }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn planned(action: &str, id: &str, from: Option<&str>, to: Option<&str>, why: &str) -> PlannedReport {
        PlannedReport {
            id: id.into(),
            action: action.into(),
            why: why.into(),
            from: from.map(Into::into),
            to: to.map(Into::into),
            drift: Vec::new(),
        }
    }

    fn example() -> PlanReport {
        let mut replace = planned("replace", "web", Some("1.4.1"), Some("1.4.2"), "");
        let drift = |field: &str, found: Option<&str>, wanted: Option<&str>| DriftReport {
            field: field.into(),
            wanted: wanted.map(Into::into),
            found: found.map(Into::into),
        };
        replace.drift = vec![
            drift("environment.LEVEL", Some("info"), Some("debug")),
            drift("ports", None, Some("8080:80")),
            drift("environment.PASSWORD", Some("(not shown)"), Some("(not shown)")),
        ];
        PlanReport {
            revision: 0,
            changes: true,
            resources: vec!["create network front".into()],
            containers: vec![
                planned("create", "cache", None, Some("7.2"), "there is none"),
                replace,
                planned(
                    "repair",
                    "camera",
                    Some("4.1"),
                    Some("4.1"),
                    "web, whose network it shares, is replaced",
                ),
                planned(
                    "remove",
                    "old",
                    Some("0.9"),
                    None,
                    "the document does not name it, and says removeUnknown: remove",
                ),
                planned("keep", "database", Some("15.4.0"), Some("15.4.0"), "runs its best version"),
                planned("wait", "till", Some("3.0"), Some("3.1"), "the window opens at 02:00"),
            ],
        }
    }

    #[test]
    fn a_plan_reads_like_a_diff() {
        assert_eq!(plan(&example(), &sample::columns(80)), include_str!("golden/plan.txt"));
    }

    #[test]
    fn nothing_to_do_is_said() {
        let mut empty = example();
        empty.containers = vec![planned("keep", "database", Some("15.4.0"), Some("15.4.0"), "")];
        (empty.changes, empty.resources) = (false, Vec::new());
        assert_eq!(
            plan(&empty, &sample::view()),
            "= keep database 15.4.0\nNothing to do: everything is as it has to be.\n"
        );
    }

    #[test]
    fn signs_have_their_colours() {
        let view = View { colours: true, ..sample::view() };
        let text = plan(&example(), &view);
        for line in [
            "\u{1b}[32m+ create cache 7.2\u{1b}[0m",
            "\u{1b}[31m- remove old 0.9\u{1b}[0m",
            "\u{1b}[2m= keep database 15.4.0\u{1b}[0m",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
