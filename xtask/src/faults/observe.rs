//! What is to be seen after a pull: on disk, in what it wrote, and at the hosts.

use std::path::Path;
use std::time::Duration;

use fixtures::registry::TOKEN;
use fixtures::sha256;
use serde_json::Value;

use super::content::Content;
use super::program::{Ended, Program};
use super::world::{PASSWORD, SIGNATURE, World};
use crate::failure::Result;

/// What was seen of one pull.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// `None` when it had to be killed.
    pub(super) code: Option<i32>,
    pub(super) outcome: String,
    pub(super) digest: String,
    pub(super) error: String,
    pub(super) remedy: String,
    pub(super) took: Duration,
    /// Requests to all hosts.
    pub(super) requests: usize,
    /// Bytes of blobs that the hosts handed out.
    pub(super) sent: u64,
    /// Things on disk that are not what their names say.
    pub(super) wrong: Vec<String>,
    /// Whether the version is on disk, byte for byte, and staged.
    pub(super) is_complete: bool,
    /// Whether anything is staged.
    pub(super) is_staged: bool,
    /// Where something secret was seen.
    pub(super) leaks: Vec<String>,
    /// The end of what it said, for a person.
    pub(super) said: Vec<String>,
}

/// The longest that any pull is waited for.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs one pull, and looks at what came of it.
pub(super) fn pull(binary: &Path, world: &World, wanted: &Content) -> Result<Seen> {
    let before = (requests(world), sent(world));
    let ended = Program::start(binary, &["pull", "--stage", "--json"], world)?.end(LIMIT)?;
    let mut seen = look(world, wanted, &ended);
    seen.requests = requests(world) - before.0;
    seen.sent = sent(world) - before.1;
    Ok(seen)
}

/// Looks at what a process left behind.
pub(super) fn look(world: &World, wanted: &Content, ended: &Ended) -> Seen {
    let result: Value =
        ended.stdout.last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
    let text = |name: &str| result[name].as_str().unwrap_or_default().to_owned();
    let root = world.data().join("dockerloader");
    let staged = std::fs::read_link(root.join("entrypoint-attempt")).ok();
    let is_staged = staged.is_some();
    let tree = root.join("storage/v1/extracted").join(&wanted.image.digest);
    let names_it = staged.is_some_and(|path| path.to_string_lossy().contains(&wanted.image.digest));
    let is_right =
        |(path, bytes): &(String, Vec<u8>)| std::fs::read(tree.join(path)).is_ok_and(|found| found == *bytes);
    Seen {
        code: ended.code,
        outcome: text("outcome"),
        digest: text("digest"),
        error: text("error"),
        remedy: text("remedy"),
        took: ended.took,
        wrong: wrong(&root.join("storage/v1"), wanted),
        is_complete: names_it && wanted.files.iter().all(is_right),
        is_staged,
        leaks: leaks(world, &root, ended),
        said: ended.stderr.iter().rev().take(12).rev().chain(ended.stdout.last()).cloned().collect(),
        ..Seen::default()
    }
}

fn requests(world: &World) -> usize {
    world.registry.requests().len() + world.second.requests().len()
}

fn sent(world: &World) -> u64 {
    world.registry.sent() + world.second.sent()
}

/// Blobs, manifests and trees that are not what their names say, and what was left behind.
fn wrong(storage: &Path, wanted: &Content) -> Vec<String> {
    let mut wrong = Vec::new();
    for folder in ["blobs", "images"] {
        for (name, path) in entries(&storage.join(folder)) {
            if name.starts_with("sha256:") && std::fs::read(&path).is_ok_and(|bytes| sha256(&bytes) != name) {
                wrong.push(format!("{folder}/{name} has other bytes than its name says"));
            }
            if name.starts_with("tmp-") {
                wrong.push(format!("{folder}/{name} was left"));
            }
        }
    }
    for (name, path) in entries(&storage.join("extracted")) {
        if name.starts_with("tmp-") || name.starts_with("removing-") {
            wrong.push(format!("extracted/{name} was left"));
        } else if name == wanted.image.digest {
            for (file, bytes) in &wanted.files {
                if std::fs::read(path.join(file)).map_or(true, |found| found != *bytes) {
                    wrong.push(format!("{file} of the version has other bytes than the image"));
                }
            }
        }
    }
    wrong
}

/// Where something secret is: in what was written to the terminal or to small files, or at a host that it is not for.
fn leaks(world: &World, root: &Path, ended: &Ended) -> Vec<String> {
    use base64::Engine as _;
    let basic =
        base64::engine::general_purpose::STANDARD.encode(format!("{}:{PASSWORD}", super::world::USER));
    let secrets = [PASSWORD, &basic, TOKEN, SIGNATURE];
    let mut leaks = Vec::new();
    let mut look_into = |what: &str, text: &str| {
        leaks.extend(
            secrets
                .iter()
                .filter(|secret| text.contains(**secret))
                .map(|secret| format!("{secret} in {what}")),
        );
    };
    look_into("standard output", &ended.stdout.join("\n"));
    look_into("standard error", &ended.stderr.join("\n"));
    for folder in [root.to_owned(), root.join("storage/v1"), root.join("storage/v1/launch")] {
        for (name, path) in entries(&folder) {
            if path.metadata().is_ok_and(|data| data.is_file() && data.len() < 1 << 20)
                && let Ok(bytes) = std::fs::read(&path)
            {
                look_into(&name, &String::from_utf8_lossy(&bytes));
            }
        }
    }
    for request in world.second.requests() {
        if request.authorization.is_some() {
            leaks.push(format!(
                "an Authorization header went to another host: {} {}",
                request.method, request.path
            ));
        }
        if request.path.contains("account=") {
            leaks.push(format!("the user name went to another host: {}", request.path));
        }
    }
    leaks
}

fn entries(folder: &Path) -> Vec<(String, std::path::PathBuf)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let named = |entry: std::fs::DirEntry| (entry.file_name().to_string_lossy().into_owned(), entry.path());
    entries.flatten().map(named).collect()
}
