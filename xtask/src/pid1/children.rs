//! Children and orphans: every exit code arrives where it belongs, and nobody stays behind as a zombie.

use std::path::Path;

use nix::sys::signal::{Signal, kill};

use super::row::Row;
use super::scene::Scene;
use crate::contained::{children, fewest_files, state, wait_for, zombies};
use crate::failure::Result;

/// Each child has a code of its own and leaves an orphan; the application checks the codes.
const STORM: &str = "trap 'exit 23' USR1
i=0; wrong=0
echo up > @notes/up
until [ -e @notes/go ]; do sleep 0.02; done
while [ $i -lt @count ]; do
  ( : & exit $((i % 200)) )
  [ $? -eq $((i % 200)) ] || wrong=$((wrong + 1))
  i=$((i + 1))
done
echo $i $wrong > @notes/done
while :; do sleep 600 & wait $!; done";

/// Children with checked codes and as many orphans.
pub(super) fn storm(loader: &Path, count: usize) -> Result<Vec<Row>> {
    let scene = Scene::new(loader, &STORM.replace("@count", &count.to_string()))?;
    let mut contained = scene.start(1000)?;
    scene.note("up")?;
    Scene::only_child(&contained)?;
    let before = fewest_files(contained.pid)?;
    let mut log = scene.log();
    let mut orphans = count_orphans(&log.entries()?);
    // The sleeps of the wait before are the application's own children.
    std::fs::write(scene.note_path("go"), "")
        .map_err(|error| crate::failure::Failure::new(error.to_string()))?;
    let done = scene.note("done")?;
    wait_for("the end of the zombies", || Ok((zombies(contained.pid) == 0).then_some(())))?;
    let expected = u64::try_from(count).unwrap_or(u64::MAX);
    // The last ones are logged in a moment.
    let _ = wait_for("the count of orphans", || {
        orphans += count_orphans(&log.entries()?);
        Ok((orphans >= expected).then_some(()))
    });
    let after = fewest_files(contained.pid)?;
    let left = children(contained.pid).len();
    contained.signal(Signal::SIGUSR1);
    let code = contained.ended()?;
    Ok(vec![
        Row::exact(
            "children, and those of them with a wrong code",
            done.trim().to_owned(),
            format!("{count} 0"),
        ),
        Row::exact("orphans reaped", orphans, expected),
        Row::exact("children of process 1 afterwards", left, 1),
        Row::exact(
            "open files of process 1, before and after",
            format!("{before} {after}"),
            format!("{before} {before}"),
        ),
        Row::exact("exit code of the application that was passed on", code, 23),
    ])
}

/// What process 1 says that it has reaped besides the application.
fn count_orphans(entries: &[serde_json::Value]) -> u64 {
    let reaped = entries.iter().filter(|entry| entry["event"] == "reaped");
    reaped.filter_map(|entry| entry["orphans"].as_u64()).sum()
}

/// While process 1 stands still all orphans end: their signals become one.
pub(super) fn coalescing(loader: &Path, count: usize) -> Result<Vec<Row>> {
    let script = format!(
        "trap 'exit 24' USR1\ni=0; while [ $i -lt {count} ]; do ( sleep 600 & ); i=$((i + 1)); done\n\
         echo up > @notes/up\nwhile :; do sleep 600 & wait $!; done"
    );
    let scene = Scene::new(loader, &script)?;
    let mut contained = scene.start(1000)?;
    scene.note("up")?;
    let all = wait_for("the orphans", || {
        let all = children(contained.pid);
        Ok((all.len() == count + 1).then_some(all))
    })?;
    contained.signal(Signal::SIGSTOP);
    wait_for("process 1 to stand still", || Ok((state(contained.pid) == Some('T')).then_some(())))?;
    for orphan in all.iter().skip(1) {
        let _ = kill(*orphan, Signal::SIGKILL);
    }
    let most = wait_for("the zombies", || {
        let zombies = zombies(contained.pid);
        Ok((zombies == count).then_some(zombies))
    })?;
    contained.signal(Signal::SIGCONT);
    wait_for("the end of the zombies", || Ok((zombies(contained.pid) == 0).then_some(())))?;
    let left = children(contained.pid).len();
    contained.signal(Signal::SIGUSR1);
    let code = contained.ended()?;
    Ok(vec![
        Row::exact("zombies while process 1 stood still, by one signal reaped", most, count),
        Row::exact(
            "children of process 1 afterwards, and the code passed on",
            format!("{left} {code}"),
            "1 24".into(),
        ),
    ])
}
