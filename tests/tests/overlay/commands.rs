//! Commands on a volume whose versions are not mounted, as that of a container that is stopped.

use std::fs;
use std::process::{Command, Output};

use tests::programs::built;

use crate::versions::{Versions, WITHOUT_MOUNTING};

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn without_mounting(versions: &Versions, arguments: &[&str]) -> Output {
    let mut command = Command::new(WITHOUT_MOUNTING[0]);
    command.args(&WITHOUT_MOUNTING[1..]).arg(built("dockerloader")).args(arguments);
    versions.stage.surround(&mut command);
    command.output().unwrap()
}

#[test]
fn versions_are_shown_checked_and_called_without_being_mounted_for_long() {
    let Some(versions) = Versions::new() else { return };
    let status = versions.stage.status();
    assert_eq!(status["current"]["digest"], versions.old.to_string());
    assert_eq!(status["findings"], serde_json::json!([]));

    let output = versions.stage.command(&["verify", "--full"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let tree = versions.layout.tree(&versions.old);
    let called = versions.stage.command(&["cli"]).output().unwrap();
    assert_eq!((called.status.code(), said(&called).trim()), (Some(7), "command line of an image"));
    assert_eq!(fs::read_dir(&tree).unwrap().count(), 0, "nothing is left mounted");
    assert!(!fs::read_to_string("/proc/self/mounts").unwrap().contains(tree.to_str().unwrap()));
    assert_eq!(fs::read_dir(versions.layout.extracted()).unwrap().count(), 2);

    // What a workload changed is seen by who checks.
    let upper = versions.layout.writes(&versions.old).join("upper");
    fs::create_dir_all(&upper).unwrap();
    fs::write(upper.join("shared"), "changed").unwrap();
    let output = versions.stage.command(&["verify", "--full"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("shared has another size"), "{}", said(&output));
}

#[test]
fn without_the_right_to_mount_a_command_says_so() {
    let Some(versions) = Versions::new() else { return };
    let output = without_mounting(&versions, &["verify"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("needs CAP_SYS_ADMIN"), "{}", said(&output));
    let output = without_mounting(&versions, &["cli"]);
    assert_eq!(output.status.code(), Some(126), "{}", said(&output));
    assert!(said(&output).contains("needs CAP_SYS_ADMIN"), "{}", said(&output));
    // What can't be looked at is made anew, from what is on disk.
    let output = without_mounting(&versions, &["restore", "--offline", &versions.old.to_string()]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(versions.is_plain(&versions.old));
    assert_eq!(without_mounting(&versions, &["cli"]).status.code(), Some(7));
}
