//! Why a container is as it is: the sentence, what was passed over, the verdicts with their last lines, who was asked, and when again.

use dockerloader::logging::printable;

use super::names::{short, tag};
use super::time::ago;
use super::{Tone, View, duration, moment};
use crate::report::{ContainerReport, PassedOverReport, RegistryReport, VerdictReport};

/// Where values begin.
const INDENT: usize = 13;

/// What is known.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Asked<'a> {
    pub(in crate::cli) container: &'a ContainerReport,
    pub(in crate::cli) verdicts: &'a [VerdictReport],
    pub(in crate::cli) registries: &'a [RegistryReport],
}

/// The answer.
pub(in crate::cli) fn why(asked: Asked<'_>, view: &View) -> String {
    let container = asked.container;
    let mut text = view.paragraph(0, "", Tone::Plain, &format!("{}: {}", container.id, container.why));
    let drift: Vec<_> = container.drift.iter().map(super::plan::difference).collect();
    if !drift.is_empty() {
        text.push_str(&view.paragraph(INDENT, "differs", Tone::Warn, &drift.join("\n")));
    }
    let passed: Vec<_> = container.passed_over.iter().map(passed_over).collect();
    if !passed.is_empty() {
        text.push_str(&view.paragraph(INDENT, "passed over", Tone::Plain, &passed.join("\n")));
    }
    let mut verdicts: Vec<_> = asked.verdicts.iter().collect();
    verdicts.sort_by_key(|verdict| std::cmp::Reverse(verdict.at));
    for (number, judged) in verdicts.into_iter().enumerate() {
        verdict(judged, &container.id, if number == 0 { "judged" } else { "" }, view, &mut text);
    }
    let registries: Vec<_> = asked.registries.iter().map(registry).collect();
    if !registries.is_empty() {
        text.push_str(&view.paragraph(INDENT, "registries", Tone::Plain, &registries.join("\n")));
    }
    if let Some(left) = container.next_look {
        let next = format!("in {}; `deviced update {}` looks now", duration(left), container.id);
        text.push_str(&view.paragraph(INDENT, "next look", Tone::Plain, &next));
    }
    text
}

fn passed_over(passed: &PassedOverReport) -> String {
    let version = tag(&passed.version);
    match passed.digest.as_deref().map(short).filter(|digest| *digest != version) {
        Some(digest) => format!("{version} {digest}: {}", passed.why),
        None => format!("{version}: {}", passed.why),
    }
}

fn verdict(verdict: &VerdictReport, container: &str, head: &str, view: &View, text: &mut String) {
    let digest = short(&verdict.digest);
    let ago = ago(verdict.at, view).map_or_else(String::new, |ago| format!(" ({ago} ago)"));
    let attempts = match verdict.attempts {
        0 | 1 => String::new(),
        attempts => format!(", {attempts} attempts"),
    };
    let lift = format!("`deviced forget {container} {digest}`");
    let (whose, again) = match verdict.reason.as_str() {
        "app" => ("its own doing", format!("not tried again with these options; {lift} lifts that")),
        "environment" => ("not its own doing", format!("tried again after a pause; {lift} ends that")),
        "interrupted" => ("interrupted", format!("tried three times in all; {lift} forgets them")),
        _ => ("somebody's word", format!("not tried again; {lift} lifts that")),
    };
    let what = format!(
        "{} {digest}, {}{ago}{attempts}: {} ({whose})",
        tag(&verdict.version),
        moment(verdict.at, view),
        verdict.text
    );
    text.push_str(&view.paragraph(INDENT, head, Tone::Bad, &what));
    text.push_str(&view.paragraph(INDENT, "", Tone::Plain, &again));
    // As they were written, and set apart from ours.
    for line in &verdict.log {
        text.push_str(&format!("{:INDENT$}{} {}\n", "", view.paint(Tone::Quiet, "|"), printable(line)));
    }
}

fn registry(registry: &RegistryReport) -> String {
    let state = match (&registry.problem, registry.up, registry.latency_ms) {
        (_, true, Some(latency)) => format!("{latency:.1} ms"),
        (_, true, None) => "answers".to_owned(),
        (Some(problem), false, _) => problem.clone(),
        (None, false, _) => "does not answer".to_owned(),
    };
    let pause =
        registry.pause.map_or_else(String::new, |left| format!("; left alone for {}", duration(left)));
    format!("{} {}: {state}{pause}", registry.rank, registry.url)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn verdict(reason: &str, digit: char, at: i64, text: &str, log: &[&str]) -> VerdictReport {
        VerdictReport {
            version: "2.1.1".into(),
            digest: format!("sha256:{}", digit.to_string().repeat(64)),
            spec: "0".repeat(32),
            reason: reason.into(),
            text: text.into(),
            at,
            attempts: 1,
            log: log.iter().map(|line| (*line).to_owned()).collect(),
        }
    }

    #[test]
    fn why_in_full() {
        let report = sample::report();
        let (container, registries) = (sample::troubled(), report.registries);
        let mut older = verdict("environment", 'c', sample::NOW - 86_400, "the disk was full", &[]);
        older.attempts = 2;
        let log = ["starting", "error: no table \u{1b}[31msessions\u{1b}[0m"];
        let newer = verdict("app", 'd', sample::NOW - 1085, "it ended with 1 after 3 s", &log);
        let verdicts = [older, newer];
        let asked = Asked { container: &container, verdicts: &verdicts, registries: &registries };
        assert_eq!(why(asked, &sample::columns(80)), include_str!("golden/why.txt"));
    }

    #[test]
    fn nothing_to_tell_is_one_sentence() {
        let container = sample::settled("web", "1.0.0", 'a');
        let asked = Asked { container: &container, verdicts: &[], registries: &[] };
        assert_eq!(why(asked, &sample::view()), "web: runs 1.0.0, the best acceptable version\n");
    }
}
