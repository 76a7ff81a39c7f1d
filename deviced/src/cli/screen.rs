//! Tells how operations go on: bars on a terminal, lines elsewhere, objects for machines.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use dockerloader::logging::printable;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::failure::Result;
use super::output;
use crate::report::{ContainerReport, OperationReport, ProgressReport};

const BYTES: &str = "{spinner} {prefix}: {msg} [{bar:24}] {decimal_bytes} of {decimal_total_bytes}";
const SPINNER: &str = "{spinner} {prefix}: {wide_msg}";

/// Where it is told.
pub(super) enum Screen {
    /// A bar for each operation, its end as a line.
    Bars(MultiProgress, HashMap<String, ProgressBar>),
    /// A line for each stage, with what was said last of each operation.
    Lines(HashMap<String, String>),
    /// An object for each change.
    Objects,
}

impl Screen {
    pub(super) fn new(json: bool) -> Self {
        match json {
            true => Self::Objects,
            // Bars are drawn on standard error, and lines written on standard output.
            false if io::stdout().is_terminal() && io::stderr().is_terminal() => {
                Self::Bars(MultiProgress::new(), HashMap::new())
            }
            false => Self::Lines(HashMap::new()),
        }
    }

    /// Tells what has changed of an operation.
    pub(super) fn tell(&mut self, operation: &OperationReport) -> Result<()> {
        match self {
            Self::Objects => output::json(&serde_json::to_vec(operation).unwrap_or_default()),
            Self::Lines(said) => {
                let sentence = sentence(operation);
                if said.get(&operation.id) == Some(&sentence) {
                    return Ok(());
                }
                output::print(&format!("{sentence}\n"))?;
                said.insert(operation.id.clone(), sentence);
                Ok(())
            }
            Self::Bars(screen, bars) => {
                if operation.state != "running" {
                    if let Some(bar) = bars.remove(&operation.id) {
                        bar.finish_and_clear();
                        screen.remove(&bar);
                    }
                    return screen.suspend(|| output::print(&format!("{}\n", sentence(operation))));
                }
                let bar = bars.entry(operation.id.clone()).or_insert_with(|| {
                    let bar = screen.add(ProgressBar::no_length());
                    bar.enable_steady_tick(Duration::from_millis(120));
                    bar
                });
                draw(bar, operation);
                Ok(())
            }
        }
    }

    /// Shows how far images of containers are; a pull is no operation.
    pub(super) fn pulls(&mut self, containers: &[ContainerReport]) -> Result<()> {
        if matches!(self, Self::Objects) {
            return Ok(());
        }
        let pulls: Vec<_> = containers.iter().filter_map(pull).collect();
        if let Self::Bars(screen, bars) = self {
            bars.retain(|id, bar| {
                let goes_on = !id.starts_with(PULL) || pulls.iter().any(|pull| pull.id == *id);
                if !goes_on {
                    bar.finish_and_clear();
                    screen.remove(bar);
                }
                goes_on
            });
        }
        pulls.iter().try_for_each(|pull| self.tell(pull))
    }

    /// A sentence between the operations; machines are told nothing.
    pub(super) fn say(&mut self, sentence: &str) -> Result<()> {
        match self {
            Self::Objects => Ok(()),
            Self::Lines(_) => output::print(&format!("{sentence}\n")),
            Self::Bars(screen, _) => screen.suspend(|| output::print(&format!("{sentence}\n"))),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Self::Bars(_, bars) = self {
            bars.values().for_each(ProgressBar::finish_and_clear);
        }
    }
}

/// What the ids of pulls begin with here.
const PULL: &str = "pull of ";

/// The pull of a container's image, told like an operation.
fn pull(container: &ContainerReport) -> Option<OperationReport> {
    let (done, total) = container.progress?;
    let version = container.wanted.as_ref().map(|wanted| wanted.version.clone()).unwrap_or_default();
    Some(OperationReport {
        id: format!("{PULL}{}", container.id),
        container: Some(container.id.clone()),
        kind: "pull".to_owned(),
        state: "running".to_owned(),
        text: version,
        progress: Some(ProgressReport { done, total, ..ProgressReport::default() }),
        ..OperationReport::default()
    })
}

fn draw(bar: &ProgressBar, operation: &OperationReport) {
    let progress = operation.progress.filter(|progress| progress.total > 0);
    // Constants, tested below; without them there is a bar of indicatif's own.
    if let Ok(style) = ProgressStyle::with_template(if progress.is_some() { BYTES } else { SPINNER }) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(subject(operation));
    let what = if operation.stage.is_empty() { &operation.kind } else { &operation.stage };
    bar.set_message(format!("{what} {}", printable(&operation.text)));
    if let Some(progress) = progress {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    }
}

/// `web: swap: prove: it runs for 3 s of 10 s`.
pub(super) fn sentence(operation: &OperationReport) -> String {
    let stage = if operation.state == "running" { &operation.stage } else { &operation.state };
    let parts =
        [subject(operation), operation.kind.clone(), stage.clone(), printable(&operation.text).into_owned()];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(": ")
}

fn subject(operation: &OperationReport) -> String {
    operation.container.clone().unwrap_or_else(|| "device".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(state: &str, stage: &str, text: &str) -> OperationReport {
        OperationReport {
            id: "01JDH0000000000000000000AB".into(),
            container: Some("web".into()),
            kind: "swap".into(),
            who: "socket:0".into(),
            state: state.into(),
            stage: stage.into(),
            text: text.into(),
            progress: None,
            began: 0,
            ended: None,
        }
    }

    #[test]
    fn operations_are_sentences() {
        for (state, stage, text, sentence_of_it) in [
            ("running", "prove", "it runs for 3 s of 10 s", "web: swap: prove: it runs for 3 s of 10 s"),
            ("running", "create", "", "web: swap: create"),
            ("done", "retire", "runs 1.4.2", "web: swap: done: runs 1.4.2"),
            ("failed", "revert", "it ended with 1\u{7}", "web: swap: failed: it ended with 1\\u{7}"),
        ] {
            assert_eq!(sentence(&operation(state, stage, text)), sentence_of_it);
        }
        let of_all = OperationReport { container: None, ..operation("done", "", "r13") };
        assert_eq!(sentence(&of_all), "device: swap: done: r13");
    }

    #[test]
    fn bars_are_drawn_and_taken_away() {
        for template in [BYTES, SPINNER] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
        let hidden = MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::hidden());
        let mut screen = Screen::Bars(hidden, HashMap::new());
        let mut pull = operation("running", "pull", "");
        pull.progress = Some(ProgressReport { done: 5, total: 10, layers_done: 0, layers_total: 1 });
        screen.tell(&pull).unwrap();
        let Screen::Bars(_, bars) = &screen else { panic!() };
        let bar = bars[&pull.id].clone();
        assert_eq!((bar.position(), bar.length(), bar.is_finished()), (5, Some(10), false));
        screen.tell(&operation("done", "retire", "runs 1.4.2")).unwrap();
        assert!(bar.is_finished());
    }

    #[test]
    fn a_pull_is_shown_while_it_lasts() {
        let hidden = MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::hidden());
        let mut screen = Screen::Bars(hidden, HashMap::new());
        let mut web = ContainerReport { id: "web".into(), ..ContainerReport::default() };
        web.progress = Some((3, 8));
        screen.pulls(std::slice::from_ref(&web)).unwrap();
        let Screen::Bars(_, bars) = &screen else { panic!() };
        let bar = bars["pull of web"].clone();
        assert_eq!((bar.position(), bar.length(), bar.message().as_str()), (3, Some(8), "pull "));
        web.progress = None;
        screen.pulls(&[web]).unwrap();
        let Screen::Bars(_, bars) = &screen else { panic!() };
        assert!(bar.is_finished() && bars.is_empty());
    }

    #[test]
    fn a_line_is_written_once() {
        let mut screen = Screen::Lines(HashMap::new());
        let mut pull = operation("running", "pull", "1.4.2 from registry.example");
        screen.tell(&pull).unwrap();
        pull.progress = Some(ProgressReport { done: 5, total: 10, layers_done: 0, layers_total: 1 });
        screen.tell(&pull).unwrap();
        let Screen::Lines(said) = &screen else { panic!() };
        assert_eq!(said[&pull.id], "web: swap: pull: 1.4.2 from registry.example");
    }
}
