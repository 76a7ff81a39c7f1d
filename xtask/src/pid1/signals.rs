//! All 64 signals against the table of the documentation, and the inits that people know against what is known of them; exit codes
//! of all of them side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::row::Row;
use super::scene::{Init, Scene};
use super::table::{Course, LAST, parse};
use crate::contained::{Contained, send, state, wait_for};
use crate::failure::{Context as _, Result};
use crate::workspace::{cargo, root, target};

const SIGINT: i32 = 2;
const SIGQUIT: i32 = 3;
const SIGKILL: i32 = 9;
const SIGUSR1: i32 = 10;
const SIGTERM: i32 = 15;
const SIGCONT: i32 = 18;
const SIGSTOP: i32 = 19;
/// CHLD TSTP TTIN TTOU: each init has its own way with these.
const OF_EACH_ITS_OWN: [i32; 4] = [17, 20, 21, 22];
/// ILL TRAP ABRT BUS FPE SEGV SYS
const FAULTS: [i32; 7] = [4, 5, 6, 7, 8, 11, 31];

/// The application that writes down each signal.
fn recorder() -> Result<PathBuf> {
    let binary = ["--package", "tests", "--bin", "signal-recorder"];
    cargo().args(["build", "--quiet"]).args(binary).arg("--target-dir", target()).run()?;
    Ok(target().join("debug/signal-recorder"))
}

pub(super) fn all(loader: &Path, _: usize) -> Result<Vec<Row>> {
    let page = std::fs::read_to_string(root().join("docs/operating.md")).context("read docs/operating.md")?;
    let (table, recorder) = (parse(&page)?, recorder()?);
    let mut rows = ours(loader, &recorder, &table)?;
    let passed: BTreeSet<i32> = of(&table, Course::PassesOn);
    for init in Init::ALL.into_iter().filter(|init| *init != Init::Dockerloader) {
        rows.push(other(loader, &recorder, init, &passed)?);
    }
    Ok(rows)
}

fn of(table: &BTreeMap<i32, Course>, course: Course) -> BTreeSet<i32> {
    table.iter().filter(|(_, found)| **found == course).map(|(number, _)| *number).collect()
}

/// A scene whose application records signals.
fn recording(loader: &Path, recorder: &Path) -> Result<Scene> {
    Scene::new(loader, &format!("exec {} @notes/signals", recorder.display()))
}

/// The signals that were recorded, in order.
fn recorded(scene: &Scene) -> Vec<i32> {
    scene.noted("signals").lines().filter_map(|line| line.parse().ok()).collect()
}

/// Sends one signal and waits until it is recorded. Gives whether it was.
fn arrives(scene: &Scene, contained: &Contained, number: i32) -> Result<bool> {
    let before = recorded(scene).len();
    send(contained.pid, number)?;
    let arrived = wait_for("the signal", || {
        let is_gone = state(contained.pid).is_none_or(|state| state == 'Z');
        let arrived = recorded(scene).get(before..).unwrap_or_default().contains(&number);
        Ok((arrived || is_gone).then_some(arrived))
    });
    Ok(arrived.unwrap_or(false))
}

fn ours(loader: &Path, recorder: &Path, table: &BTreeMap<i32, Course>) -> Result<Vec<Row>> {
    let scene = recording(loader, recorder)?;
    let mut contained = scene.start(20_000)?;
    scene.note("signals")?;
    let mut wrong = Vec::new();
    let mut rows = Vec::new();
    // Those that stay away come first, and then one that does not: what had been passed on would have arrived before it.
    let silent: BTreeSet<i32> =
        [Course::Ignores, Course::Reaps].into_iter().flat_map(|course| of(table, course)).collect();
    for number in &silent {
        send(contained.pid, *number)?;
        if !arrives(&scene, &contained, SIGUSR1)? {
            wrong.push(format!("process 1 is gone after {number}"));
        }
    }
    let arrived: BTreeSet<i32> = recorded(&scene).into_iter().collect();
    wrong.extend(arrived.intersection(&silent).map(|number| format!("{number} was passed on")));
    rows.push(Row::found("signals that the application never sees", silent.len(), &wrong));
    let mut wrong = Vec::new();
    let passed = of(table, Course::PassesOn);
    for number in &passed {
        if !arrives(&scene, &contained, *number)? {
            wrong.push(format!("{number} did not arrive"));
        }
    }
    rows.push(Row::found("signals that are passed on", passed.len(), &wrong));
    // A real-time signal is never merged with another one (`signal(7)`).
    let count = || recorded(&scene).into_iter().filter(|number| *number == 40).count();
    let before = count();
    send(contained.pid, SIGSTOP)?;
    wait_for("process 1 to stand still", || Ok((state(contained.pid) == Some('T')).then_some(())))?;
    for _ in 0..5 {
        send(contained.pid, 40)?;
    }
    send(contained.pid, SIGCONT)?;
    wait_for("five real-time signals", || Ok((count() == before + 5).then_some(())))?;
    rows.push(Row::exact("real-time signals that arrive after a standstill, of 5", count() - before, 5));
    // Those that stop: the last one ends the recorder.
    let mut wrong = Vec::new();
    for number in [SIGTERM, SIGINT, SIGQUIT] {
        if table.get(&number) != Some(&Course::Stops) {
            wrong.push(format!("{number} is not in the table"));
        }
        if !arrives(&scene, &contained, number)? {
            wrong.push(format!("{number} did not arrive"));
        }
    }
    let code = contained.ended()?;
    let stops = scene.log().entries()?.into_iter().filter(|entry| entry["event"] == "stop").count();
    if (code, stops) != (7, 1) {
        wrong.push(format!("code {code} after {stops} stops"));
    }
    rows.push(Row::found("signals that stop", of(table, Course::Stops).len(), &wrong));
    // And those that no process can take.
    let scene = recording(loader, recorder)?;
    let mut contained = scene.start(20_000)?;
    scene.note("signals")?;
    let app = Scene::only_child(&contained)?;
    send(contained.pid, SIGKILL)?;
    contained.ended()?;
    let left = format!("{:?} {}", state(app), recorded(&scene).len());
    rows.push(Row::exact(
        "the application after a KILL, and the signals that it was sent",
        left,
        "None 0".to_owned(),
    ));
    rows.push(Row::exact("signals in the table", table.len(), usize::try_from(LAST).unwrap_or(0)));
    Ok(rows)
}

/// What the inits that people know pass on, beside what ours does: the test-bed can tell a difference.
fn other(loader: &Path, recorder: &Path, init: Init, ours: &BTreeSet<i32>) -> Result<Row> {
    let scene = recording(loader, recorder)?;
    let Some(mut contained) = scene.start_under(init, 20_000)? else {
        return Ok(Row::found(&format!("{}, for comparison", init.name()), "not installed", &[]));
    };
    scene.note("signals")?;
    let mut expected = ours.clone();
    let mut tried: BTreeSet<i32> = ours.iter().copied().chain(FAULTS).collect();
    match init {
        // It passes on faults too, and makes a STOP of TSTP, TTIN and TTOU, which its own continuation ends.
        Init::Dumb => {
            expected.extend(FAULTS);
            expected.retain(|number| !OF_EACH_ITS_OWN.contains(number));
            tried.retain(|number| !OF_EACH_ITS_OWN.contains(number));
        }
        // It swallows TSTP.
        Init::Catatonit => {
            expected.remove(&20);
            tried.insert(20);
        }
        Init::Tini | Init::Dockerloader => {}
    }
    let mut wrong = Vec::new();
    for number in tried.difference(&expected) {
        send(contained.pid, *number)?;
    }
    for number in &expected {
        if !arrives(&scene, &contained, *number)? {
            wrong.push(format!("{number} did not arrive"));
        }
    }
    let arrived: BTreeSet<i32> = recorded(&scene).into_iter().collect();
    wrong.extend(arrived.difference(&expected).map(|number| format!("{number} arrived")));
    send(contained.pid, SIGQUIT)?;
    let code = contained.ended()?;
    if code != 7 {
        wrong.push(format!("code {code}"));
    }
    Ok(Row::found(
        &format!("signals that {} passes on, as is known of it", init.name()),
        expected.len(),
        &wrong,
    ))
}

/// Exit codes through each process 1: ours and the others' are the same but for 42, which is ours.
pub(super) fn codes(loader: &Path, _: usize) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for init in Init::ALL {
        let (mut count, mut wrong) = (0, Vec::new());
        let exits = [0, 1, 2, 41, 43, 77, 126, 127, 128, 255].map(|code| (format!("exit {code}"), code));
        let deaths = [1, 2, 3, 9, 11, 15, 34, 64]
            .map(|number| (format!("ulimit -c 0; kill -{number} $$; sleep 600"), 128 + number));
        for (script, expected) in exits.into_iter().chain(deaths) {
            let scene = Scene::new(loader, &script)?;
            let Some(mut contained) = scene.start_under(init, 2_000)? else { break };
            let code = contained.ended()?;
            count += 1;
            if code != expected {
                wrong.push(format!("{script}: {code}"));
            }
        }
        rows.push(Row::found(&format!("exit codes that {} passes on", init.name()), count, &wrong));
    }
    Ok(rows)
}
