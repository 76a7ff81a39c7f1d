//! The rows of the tables of layers, each in each compression and as each user.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fixtures::hostile::canary::Canary;
use fixtures::hostile::{Aim, COMPRESSIONS, Defect, Outcome, defects, oddities};
use fixtures::image::Compression;
use fixtures::scratch::Scratch;
use fixtures::tree;

use super::{Cell, User};
use crate::call::Call;
use crate::failure::{Context as _, Result};
use crate::interrupt;

/// Most memory that an extraction may have, in KiB: 32 MiB, as promised for any layer, and 4 for this program itself, which
/// is a debug build with more in it.
const MEMORY: u64 = 36 << 10;
/// The same when a layer asks for the largest window that is allowed, which comes on top.
const MEMORY_WITH_WINDOW: u64 = MEMORY + (32 << 10);
/// Most disk that a refused layer may have taken before it was refused, in bytes.
const DISK: u64 = 256 << 20;
/// Longest time of one extraction.
const TIME: Duration = Duration::from_secs(60);
/// Extractions at a time.
const WORKERS: usize = 2;

/// A directory on a file system without a disk, that everybody can reach.
pub(super) fn scratch() -> Result<Scratch> {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let scratch = Scratch::within(&parent, "hostile-").context("make a directory")?;
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).context("open a directory")?;
    Ok(scratch)
}

/// One thing to do.
struct Job<'d> {
    row: &'d Defect,
    kind: &'static str,
    compression: Compression,
    user: User,
}

/// Extracts all rows that are wanted.
pub(super) fn run(scratch: &Path, wanted: &dyn Fn(&str) -> bool) -> Result<Vec<Cell>> {
    let (defects, oddities) = (defects(), oddities());
    let mut jobs = Vec::new();
    for (rows, kind) in [(&defects, "layer"), (&oddities, "odd layer")] {
        for row in rows.iter().filter(|row| wanted(row.name)) {
            for user in User::BOTH {
                jobs.extend(COMPRESSIONS.map(|compression| Job { row, kind, compression, user }));
            }
        }
    }
    let (next, done) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|number| {
                let (jobs, next, done) = (&jobs, &next, &done);
                scope.spawn(move || -> Result {
                    let mut places = Places::new(&scratch.join(format!("worker-{number}")))?;
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(job) = jobs.get(at).filter(|_| !interrupt::interrupted()) else {
                            return Ok(());
                        };
                        if let Some(cell) = extract(&mut places, job)? {
                            done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(at, cell);
                        }
                    }
                })
            })
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    Ok(done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).into_values().collect())
}

/// A place with a canary for each user.
struct Places {
    blobs: PathBuf,
    of_root: Canary,
    of_user: Canary,
}

impl Places {
    fn new(folder: &Path) -> Result<Self> {
        let make = |name: &str| {
            let path = folder.join(name);
            fs::create_dir_all(&path).context("make a directory").map(|()| path)
        };
        let blobs = make("blobs")?;
        let of_root = Canary::new(&make("root")?, User::Root.ids());
        Ok(Self { blobs, of_root, of_user: Canary::new(&make("user")?, User::Nobody.ids()) })
    }
}

/// Extracts one row; nothing where it does not exist in this compression.
fn extract(places: &mut Places, job: &Job<'_>) -> Result<Option<Cell>> {
    let Places { blobs, of_root, of_user } = places;
    let canary = if job.user == User::Root { of_root } else { of_user };
    let aim = Aim { canary: canary.folder().to_string_lossy().into_owned() };
    let Some(layers) = job.row.blobs(&aim, job.compression) else { return Ok(None) };
    canary.renew(job.user.ids());
    let root = canary.root();
    let mut call = Call::new("/proc/self/exe").args(["hostile-extract"]).user(job.user.ids()).within(TIME);
    for (name, value) in job.row.limits {
        call = call.args([format!("--limit={name}={value}")]);
    }
    call = call.args([&root]);
    for (number, layer) in layers.iter().enumerate() {
        let path = blobs.join(number.to_string());
        fs::write(&path, layer).context("write a blob")?;
        call = call.args([path]);
    }
    let answer = call.read().map(|text| serde_json::from_str::<serde_json::Value>(&text).unwrap_or_default());
    let mut problems = canary.changes();
    let (mut outcome, mut peak) = (String::from("ended badly"), 0);
    match answer {
        Ok(answer) => {
            peak = answer["peak"].as_u64().unwrap_or(u64::MAX);
            outcome = judge(job, &answer, &root, &aim, &mut problems);
        }
        Err(failure) => problems.push(failure.to_string()),
    }
    let most = if job.row.name.ends_with("window-of-32-mib") { MEMORY_WITH_WINDOW } else { MEMORY };
    if peak > most {
        problems.push(format!("it took {peak} KiB of memory, more than {most}"));
    }
    let disk = blocks(&root) * 512;
    if disk > DISK {
        problems.push(format!("it took {disk} bytes of disk, more than {DISK}"));
    }
    Ok(Some(Cell {
        row: job.row.name.into(),
        kind: job.kind,
        compression: compression_name(job.compression),
        user: job.user,
        outcome,
        problems,
        peak,
    }))
}

/// What became of it; whatever is not as the row says is a problem.
fn judge(
    job: &Job<'_>,
    answer: &serde_json::Value,
    root: &Path,
    aim: &Aim,
    problems: &mut Vec<String>,
) -> String {
    let refused = answer["refused"].as_str();
    for finding in answer["findings"].as_array().into_iter().flatten() {
        problems.push(format!("the tree is not what its seal says: {finding}"));
    }
    let expected = job.row.outcome(job.user == User::Root);
    match (expected, refused) {
        (Outcome::Refused(why), Some(found)) if why == found => {}
        (Outcome::Refused(why), found) => {
            problems.push(format!("expected to be refused by {why}, found {}", found.unwrap_or("a tree")));
        }
        (Outcome::Tree(_), Some(found)) => {
            problems.push(format!("refused by {found}: {}", answer["message"].as_str().unwrap_or_default()));
        }
        (Outcome::Tree(lines), None) => {
            let (expected, found) = (with_parents(lines, &aim.canary), lines_of(root));
            if expected != found {
                problems.push(format!("expected {expected:?}, found {found:?}"));
            }
        }
    }
    refused.map_or_else(|| "extracted harmlessly".to_owned(), |name| format!("refused: {name}"))
}

/// The lines of a row with the canary's path in them, and those of the folders on the way.
fn with_parents(lines: &[&str], canary: &str) -> Vec<String> {
    let mut all = BTreeMap::new();
    for line in lines {
        let line = line.replace("{canary}", canary.trim_start_matches('/'));
        let path = line.split(' ').next().unwrap_or_default().to_owned();
        for (at, _) in path.match_indices('/') {
            let parent = path.get(..at).unwrap_or_default().to_owned();
            all.entry(parent.clone()).or_insert_with(|| format!("{parent} 755 folder"));
        }
        all.insert(path, line);
    }
    let mut all: Vec<_> = all.into_values().collect();
    all.sort();
    all
}

/// What is in a tree.
fn lines_of(root: &Path) -> Vec<String> {
    let mut lines: Vec<_> = paths(root).iter().map(|path| tree::line(root, path)).collect();
    lines.sort();
    lines
}

fn paths(root: &Path) -> Vec<Vec<u8>> {
    let (mut found, mut pending) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                pending.push(entry.path());
            }
            if let Ok(path) = entry.path().strip_prefix(root) {
                found.push(path.as_os_str().as_bytes().to_vec());
            }
        }
    }
    found
}

fn blocks(root: &Path) -> u64 {
    let stat = |path: &Vec<u8>| fs::symlink_metadata(root.join(std::ffi::OsStr::from_bytes(path)));
    paths(root).iter().filter_map(|path| stat(path).ok()).map(|stat| stat.blocks()).sum()
}

fn compression_name(compression: Compression) -> &'static str {
    match compression {
        Compression::Plain => "plain",
        Compression::Gzip => "gzip",
        _ => "zstd",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_on_the_way_are_expected_too() {
        let lines = with_parents(
            &["l -> /{canary}", "a/b/c 644 file", "a 700 folder", "{canary}/f 644 file x"],
            "/tmp/c",
        );
        assert_eq!(
            lines,
            [
                "a 700 folder",
                "a/b 755 folder",
                "a/b/c 644 file",
                "l -> /tmp/c",
                "tmp 755 folder",
                "tmp/c 755 folder",
                "tmp/c/f 644 file x"
            ]
        );
    }
}
