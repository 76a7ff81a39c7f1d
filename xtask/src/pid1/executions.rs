//! Versions that can't be executed: each is a verdict and a rollback, and process 1 goes on as if nothing had been.

use std::fs::File;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use serde_json::Value;

use super::row::Row;
use super::scene::Scene;
use crate::contained::{Contained, fewest_files, resident, wait_for, zombies};
use crate::failure::{Context as _, Failure, Result};

/// Exits with 42 when something is staged.
const APP: &str = "trap 'exit 0' TERM
echo $$ >> @notes/starts
until [ -h @data/dockerloader/entrypoint-attempt ]; do sleep 0.02; done
exit 42";

/// Why a program can't be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    Missing,
    NotExecutable,
    WrongMachine,
    NoInterpreter,
}

impl Defect {
    const ALL: [Self; 4] = [Self::Missing, Self::NotExecutable, Self::WrongMachine, Self::NoInterpreter];

    const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::NotExecutable => "not executable",
            Self::WrongMachine => "of another machine",
            Self::NoInterpreter => "without its interpreter",
        }
    }

    /// What the verdict has to say (`execve(2)`).
    const fn reason(self) -> &'static str {
        match self {
            Self::Missing | Self::NoInterpreter => "No such file or directory",
            Self::NotExecutable => "Permission denied",
            Self::WrongMachine => "Exec format error",
        }
    }

    /// Makes a program so.
    fn apply(self, program: &Path) -> std::io::Result<()> {
        match self {
            Self::Missing => {
                std::fs::remove_file(program)?;
                symlink("not-there", program)
            }
            Self::NotExecutable => std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o644)),
            // A header like that of any program, of a machine that does not exist.
            Self::WrongMachine => std::fs::write(
                program,
                [b"\x7fELF\x02\x01\x01".as_slice(), &[0; 9], &[2, 0, 0xee, 0xee, 1, 0, 0, 0], &[0; 40]]
                    .concat(),
            ),
            Self::NoInterpreter => std::fs::write(program, "#!/nonexistent/interpreter\n"),
        }
    }
}

/// Stages so many versions of the four kinds, one after the other.
pub(super) fn failures(loader: &Path, count: usize) -> Result<Vec<Row>> {
    let scene = Scene::new(loader, APP)?;
    let mut contained = scene.start(1000)?;
    let current = scene.ground.read_slot("entrypoint");
    let mut judged = [0_usize; Defect::ALL.len()];
    let mut wrong = Vec::new();
    // The first ones show what a supervisor has open when it is warm.
    let warm = (count / 10).clamp(4, 100);
    let mut before = (0, 0);
    for number in 0..count {
        let kind = number % Defect::ALL.len();
        let defect = Defect::ALL[kind];
        match perform(&scene, &mut contained, number, defect) {
            Ok(None) => judged[kind] += 1,
            Ok(Some(fault)) => wrong.push(format!("number {number}, {}: {fault}", defect.name())),
            Err(failure) => {
                let log = scene.log().last(20);
                return Err(Failure::new(format!("number {number}, {}: {failure}\n{log}", defect.name())));
            }
        }
        if number + 1 == warm {
            before = census(&scene, &contained, number + 2)?;
        }
    }
    let after = census(&scene, &contained, count + 1)?;
    let is_current = scene.ground.read_slot("entrypoint") == current;
    let starts = scene.noted("starts").lines().count();
    let zombies = zombies(contained.pid);
    contained.signal(nix::sys::signal::Signal::SIGTERM);
    let code = contained.ended()?;
    let mut rows: Vec<_> = Defect::ALL
        .into_iter()
        .enumerate()
        .map(|(kind, defect)| {
            let expected = (kind..count).step_by(Defect::ALL.len()).count();
            Row::exact(&format!("programs {}: verdict and rollback", defect.name()), judged[kind], expected)
        })
        .collect();
    rows.push(Row::found("wrong verdicts", wrong.len(), &wrong.into_iter().take(3).collect::<Vec<_>>()));
    rows.push(Row::exact("starts of the version that is current", starts, count + 1));
    rows.push(Row::exact(
        "it is current still, zombies, code",
        format!("{is_current} {zombies} {code}"),
        "true 0 0".into(),
    ));
    rows.push(Row::exact(
        "open files of process 1, before and after",
        format!("{} {}", before.0, after.0),
        format!("{0} {0}", before.0),
    ));
    let grown = after.1.saturating_sub(before.1);
    // Process 1 reads and writes its memory of verdicts as a whole, of a thousand at most: a kilobyte each.
    let allowed = 256 + u64::try_from(count.min(1000)).unwrap_or(u64::MAX);
    let wrong = if grown > allowed { vec![format!("more than {allowed} kB")] } else { Vec::new() };
    rows.push(Row::found("growth of process 1", format!("{grown} kB"), &wrong));
    Ok(rows)
}

/// Open files and memory of process 1 when it has nothing to do: the version that is current runs for this time, and nothing else.
fn census(scene: &Scene, contained: &Contained, starts: usize) -> Result<(usize, u64)> {
    wait_for("the version that is current", || {
        Ok((scene.noted("starts").lines().count() == starts).then_some(()))
    })?;
    Scene::only_child(contained)?;
    Ok((fewest_files(contained.pid)?, resident(contained.pid)))
}

/// One version. Gives what is wrong about its verdict.
fn perform(
    scene: &Scene,
    contained: &mut Contained,
    number: usize,
    defect: Defect,
) -> Result<Option<String>> {
    wait_for("the version that is current", || {
        Ok((scene.noted("starts").lines().count() == number + 1).then_some(()))
    })?;
    // As a pull does: the clean-up that starts with it would take what no slot names yet.
    let lock = File::options().create(true).append(true).open(scene.ground.root().join("store.lock"));
    let lock = lock.and_then(|file| file.lock().map(|()| file)).context("lock the store")?;
    let digest = scene.ground.plant(&format!("defect-{number}"), "#!/bin/sh\nexit 0\n");
    defect.apply(&scene.ground.tree(&digest).join("entrypoint")).context("make a bad program")?;
    // The image is like that: its files are whole.
    ::tests::sealed::seal(&scene.ground, &digest);
    scene.ground.link("entrypoint-attempt", &digest);
    drop(lock);
    wait_for("the verdict", || {
        if let Some(code) = contained.code()? {
            return Err(Failure::new(format!("process 1 ended with {code}")));
        }
        let verdict = last_verdict(scene)?;
        let is_over =
            verdict["digest"] == digest.as_str() && scene.ground.read_slot("entrypoint-attempting").is_none();
        Ok(is_over.then_some(()))
    })?;
    let verdict = last_verdict(scene)?;
    let is_right = verdict["kind"] == "app"
        && verdict["reason"].as_str().is_some_and(|reason| reason.contains(defect.reason()));
    Ok((!is_right).then(|| verdict.to_string()))
}

/// The youngest verdict; null when there is none.
fn last_verdict(scene: &Scene) -> Result<Value> {
    let Ok(state) = std::fs::read(scene.ground.root().join("state.json")) else { return Ok(Value::Null) };
    let state: Value = serde_json::from_slice(&state).context("read state.json")?;
    Ok(state["verdicts"].as_array().and_then(|verdicts| verdicts.last()).cloned().unwrap_or_default())
}
