//! The tables of the documentation say what the program does: exit codes, settings and events.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the repository")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_exit_codes_of_the_readme_are_those_of_the_program() {
    let table = dockerloader::cli::exit::table();
    assert!(read("README.md").contains(&table), "README.md lacks this table:\n{table}");
}

#[test]
fn the_settings_of_the_readme_are_those_that_are_read() {
    let config = product(&read("dockerloader/src/config.rs"));
    let quoted = config.split('"').skip(1).step_by(2);
    let mut expected = quoted
        .filter(|text| is_variable(text) && *text != "HOME")
        .map(str::to_owned)
        .collect::<BTreeSet<_>>();
    assert!(expected.contains("DOCKERLOADER_TARGET") && expected.len() > 10, "{expected:?}");
    // reqwest reads them.
    expected.extend(["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"].map(str::to_owned));
    assert_eq!(first_column(&read("README.md"), "| variable | default | meaning |"), expected);
}

#[test]
fn the_events_of_the_documentation_are_those_that_are_logged() {
    let mut expected = BTreeSet::new();
    for path in sources(&root().join("dockerloader/src")) {
        expected.extend(events(&product(&read(path))).into_iter().map(str::to_owned));
    }
    assert!(expected.contains("commit") && expected.contains("roll_back"), "{expected:?}");
    let page = read("docs/operating.md");
    let mut documented = first_column(&page, "| event | when |");
    documented.extend(first_column(&page, "| event of the library | when |"));
    let missing = expected.difference(&documented).collect::<Vec<_>>();
    let invented = documented.difference(&expected).collect::<Vec<_>>();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "docs/operating.md lacks {missing:?}, and has {invented:?}, which nothing logs"
    );
}

#[test]
fn an_event_is_found_with_its_level() {
    let text = r#"
        tracing::info!(event = "one", "text");
        tracing::debug!(event = "two", "text");
        if tracing::enabled!(tracing::Level::INFO) {
            tracing::error!(
                event = "three", number,
            );
        }
    "#;
    assert_eq!(events(text), ["one", "three"]);
}

/// The code without its tests, which stand at the end of a file.
fn product(text: &str) -> String {
    text.split_once("\n#[cfg(test)]\nmod tests {").map_or(text, |(product, _)| product).to_owned()
}

/// Rust files of the product below a directory, without those of tests alone.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory of sources") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && !name.ends_with("tests") {
            found.push(path);
        }
    }
    found
}

/// The names in `event = "NAME"` of log lines that are written by default: those of level info and above.
fn events(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for level in ["error", "warn", "info"] {
        for call in text.split(&format!("tracing::{level}!(")).skip(1) {
            let named = call.trim_start().strip_prefix("event = \"").and_then(|rest| rest.split('"').next());
            let line = call.lines().next().unwrap_or_default();
            found.push(
                named.unwrap_or_else(|| panic!("a log line without the name of its event first: {line}")),
            );
        }
    }
    found.sort_unstable();
    found
}

/// The code spans in the first column of the table with this head.
fn first_column(page: &str, head: &str) -> BTreeSet<String> {
    let rows = page.lines().skip_while(|line| *line != head).skip(2).take_while(|line| line.starts_with('|'));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

fn is_variable(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}
