//! What runs, and what happens when it can't be mounted.

use std::fs;
use std::path::Path;

use tests::namespace::Init;
use tests::wait::eventually;

use crate::versions::{Versions, WITHOUT_MOUNTING};

fn await_starts(versions: &Versions, expected: &[&str]) {
    eventually(&format!("the starts {expected:?}"), || (versions.starts() == expected).then_some(()));
}

/// Nothing is mounted below the data directory, as it is seen from here.
fn assert_not_mounted(data: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(data.to_str().unwrap()), "{mounts}");
}

#[test]
fn what_is_frozen_is_mounted_tried_and_committed_and_comes_back_after_a_restart() {
    let (Some(versions), Some(init)) = (Versions::new(), Init::own()) else { return };
    let mut running = init.run(&versions.stage);
    running.event("commit", 1);
    assert_eq!(versions.starts(), ["old", "new"]);
    assert_eq!(versions.slot("entrypoint"), Some(versions.new));
    assert_eq!(versions.slot("entrypoint-previous"), Some(versions.old));
    assert_eq!(running.seen("mount").len(), 2, "{}", running.stderr());
    assert_eq!(versions.stage.note("written"), "1\n");
    assert_eq!(running.stop(15), 0, "{}", running.stderr());
    assert_not_mounted(versions.stage.ground.data());

    // Another container on the same volume: what the version wrote is still there.
    fs::remove_file(versions.stage.note_path("written")).unwrap();
    let mut running = init.run(&versions.stage);
    running.event("run", 1);
    assert_eq!(versions.stage.note("written"), "2\n");
    assert_eq!(running.seen("unmountable").len() + running.seen("missing").len(), 0, "{}", running.stderr());
    // The way back is mounted when it is needed.
    let back = versions.stage.command(&["rollback"]).output().unwrap();
    assert!(back.status.success(), "{}", String::from_utf8_lossy(&back.stderr));
    await_starts(&versions, &["old", "new", "new", "old"]);
    assert_eq!(running.stop(15), 0, "{}", running.stderr());
}

#[test]
fn without_the_right_to_mount_each_version_is_restored_as_a_plain_tree() {
    let (Some(versions), Some(init)) = (Versions::new(), Init::own()) else { return };
    let mut running = init.run(&versions.stage);
    running.event("commit", 1);
    assert_eq!(running.stop(15), 0, "{}", running.stderr());

    let mut running = init.run_by(&versions.stage, &WITHOUT_MOUNTING, &[]);
    running.event("run", 1);
    await_starts(&versions, &["old", "new", "new"]);
    let why = running.event("unmountable", 1)["message"].to_string();
    assert!(why.contains("CAP_SYS_ADMIN"), "{why}");
    assert_eq!(running.seen("restored").len(), 1);
    assert!(versions.is_plain(&versions.new) && !versions.is_plain(&versions.old));
    let back = versions.stage.command(&["rollback"]).output().unwrap();
    assert!(back.status.success(), "{}", String::from_utf8_lossy(&back.stderr));
    await_starts(&versions, &["old", "new", "new", "old"]);
    assert!(versions.is_plain(&versions.old));
    assert_eq!(running.stop(15), 0, "{}", running.stderr());

    // From here on there is nothing to mount, with and without the right to.
    let mut running = init.run(&versions.stage);
    await_starts(&versions, &["old", "new", "new", "old", "old"]);
    assert_eq!(running.seen("mount").len() + running.seen("unmountable").len(), 0, "{}", running.stderr());
    assert_eq!(running.stop(15), 0, "{}", running.stderr());
    // The clean-up takes what nobody stands on any more.
    let output = versions.stage.command(&["gc"]).output().unwrap();
    assert!(output.status.success());
    assert_eq!(versions.stage.ground.list("frozen"), Vec::<String>::new());
    assert_eq!(versions.stage.ground.list("writes"), Vec::<String>::new());
}

#[test]
fn a_trial_without_the_right_to_mount_is_no_failed_trial() {
    let (Some(versions), Some(init)) = (Versions::new(), Init::own()) else { return };
    // The current version is restored at the start, the staged one when it is to be tried.
    let mut running = init.run_by(&versions.stage, &WITHOUT_MOUNTING, &[]);
    running.event("commit", 1);
    assert_eq!(versions.starts(), ["old", "new"]);
    assert_eq!(versions.slot("entrypoint"), Some(versions.new));
    assert_eq!(
        running.seen("trial_failed").len() + running.seen("roll_back").len(),
        0,
        "{}",
        running.stderr()
    );
    assert!(versions.is_plain(&versions.new) && versions.is_plain(&versions.old));
    assert_eq!(versions.stage.update_attempt(), None);
    assert_eq!(running.stop(15), 0, "{}", running.stderr());
}

#[test]
fn a_damaged_stack_and_a_lost_frozen_directory_are_lost_trees() {
    let Some(init) = Init::own() else { return };
    for damage in ["stack", "frozen", "stack and frozen"] {
        let Some(versions) = Versions::new() else { return };
        fs::write(versions.stage.note_path("staged"), "").unwrap();
        if damage.contains("frozen") {
            fs::remove_dir_all(versions.layout.frozen()).unwrap();
        }
        if damage.contains("stack") {
            fs::write(versions.layout.stack(&versions.old), "{\"format\":1").unwrap();
        }
        let mut running = init.run(&versions.stage);
        running.event("run", 1);
        await_starts(&versions, &["old"]);
        assert_eq!(running.seen("restored").len(), 1, "{damage}");
        assert!(versions.is_plain(&versions.old), "{damage}");
        assert_eq!(running.stop(15), 0, "{}", running.stderr());
        assert_not_mounted(versions.stage.ground.data());
    }
}

/// The supervisor is killed in the middle, mounts and all: the next one goes on.
#[test]
fn a_killed_supervisor_leaves_nothing_that_keeps_the_next_one_from_mounting() {
    let (Some(versions), Some(init)) = (Versions::new(), Init::own()) else { return };
    for round in 1..=3 {
        let mut running = init.run(&versions.stage);
        eventually("a start", || (versions.starts().len() > round).then_some(()));
        // With its namespace, and all in it.
        running.stop(9);
    }
    let starts = versions.starts().len();
    let mut running = init.run(&versions.stage);
    eventually("the last start", || (versions.starts().len() > starts).then_some(()));
    assert_eq!(running.seen("unmountable").len(), 0, "{}", running.stderr());
    assert_eq!(running.stop(15), 0, "{}", running.stderr());
}
