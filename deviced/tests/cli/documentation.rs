//! The manual says what the program does: commands, settings, and documents that are right.
#![expect(clippy::disallowed_methods, reason = "the test runs the binary")]

use std::collections::BTreeSet;
use std::process::Command;

const PAGE: &str = include_str!("../../../docs/deviced-operating.md");
const SETTINGS: &str = include_str!("../../src/settings.rs");

/// The first column of the table below this head, without what stands behind the first word.
fn column(head: &str) -> BTreeSet<&'static str> {
    let (_, table) = PAGE.split_once(head).unwrap_or_else(|| panic!("there is no table {head}"));
    let rows = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_start_matches("| `").split(['`', ' ']).next().unwrap()).collect()
}

fn deviced(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_deviced")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_command_is_in_the_table() {
    let help = deviced(&["--help"]);
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands: BTreeSet<_> = commands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() > 20, "{commands:?}");
    assert_eq!(column("| command | does |\n"), commands);
}

#[test]
fn every_setting_is_in_the_table() {
    let quoted = SETTINGS.split("#[cfg(test)]").next().unwrap().split('"').skip(1).step_by(2);
    let settings = quoted.filter(|text| text.starts_with("DEVICED_") || text.starts_with("DOCKER_"));
    assert_eq!(column("| variable | default | meaning |\n"), settings.collect());
}

#[test]
fn every_document_is_right() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("device.yaml");
    let documents: Vec<_> =
        PAGE.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(documents.len() > 5);
    for document in documents {
        std::fs::write(&file, document).unwrap();
        deviced(&["check", file.to_str().unwrap()]);
    }
}
