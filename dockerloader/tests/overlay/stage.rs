//! A data directory in a mount namespace of its own, and versions whose layers are in memory.
#![expect(clippy::disallowed_methods, reason = "a test runs programs and makes what is then looked at")]

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use dockerloader::digest::Digest;
use dockerloader::layout::Layout;
use dockerloader::limits::Limits;
use dockerloader::tree::{Depth, Extraction, Finding, Problem, Seal, verify};
use dockerloader::volume::overlay::{self, Draft, View};
use fixtures::image::Layer;
use fixtures::scratch::Scratch;
use nix::mount::MsFlags;
use nix::sched::CloneFlags;

/// Removed when dropped, mounts first; those go in any case with the thread, whose namespace they are in.
pub(crate) struct Stage {
    pub(crate) layout: Layout,
    directory: Scratch,
}

/// Where a data directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    /// Where temporary files are.
    Plain,
    /// A file system of its own, made by this program in a file.
    Made(&'static str),
    /// `tmpfs`.
    Memory,
    /// An overlay, as the root of a container without a volume.
    Overlay,
}

impl Stage {
    /// `None`, with a word, when it can't be had here.
    pub(crate) fn new(on: On) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            return skip("mounts need root");
        }
        let directory = Scratch::new("overlay-");
        nix::sched::unshare(CloneFlags::CLONE_NEWNS).unwrap();
        nix::mount::mount(
            None::<&str>,
            "/",
            None::<&str>,
            MsFlags::MS_REC | MsFlags::MS_PRIVATE,
            None::<&str>,
        )
        .unwrap();
        let data = directory.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let stage = Self { layout: Layout::new(&data), directory };
        let at = data.display();
        match on {
            On::Plain => {}
            On::Memory => run(&format!("mount -t tmpfs none {at}")),
            On::Made(program) => {
                if Command::new(program).arg("--help").output().is_err()
                    && !Path::new("/sbin").join(program).exists()
                {
                    return skip(&format!("{program} is not installed"));
                }
                run(&format!(
                    "truncate -s 400M {at}.img; {program} -q {at}.img; mount -o loop {at}.img {at}"
                ));
            }
            On::Overlay => run(&format!(
                "mkdir {at}-l {at}-s; mount -t tmpfs none {at}-s; mkdir {at}-s/u {at}-s/w; \
                 mount -t overlay -o lowerdir={at}-l,upperdir={at}-s/u,workdir={at}-s/w none {at}"
            )),
        }
        std::fs::create_dir_all(stage.layout.storage()).unwrap();
        Some(stage)
    }

    /// Extracts layers in full, somewhere else: what the version has to look like, and its seal.
    pub(crate) fn expected(&self, name: &str, layers: &[&[u8]]) -> (PathBuf, Seal) {
        let root = self.directory.path().join(name);
        std::fs::create_dir(&root).unwrap();
        let seal = extract(&root, layers);
        (root, seal)
    }

    /// Makes a version whole, and mounts it.
    pub(crate) fn whole(&self, version: &Digest, layers: &[&[u8]]) -> Seal {
        let draft = overlay::whole(&self.layout, version).unwrap();
        assert!(!draft.is_clone());
        let seal = extract(&draft.path(), layers);
        draft.freeze(&seal).unwrap();
        overlay::ready(&self.layout, version).unwrap();
        seal
    }

    /// Begins a version over another one.
    pub(crate) fn over(&self, current: &Digest, version: &Digest) -> Draft {
        let draft = overlay::clone(&self.layout, current, version).unwrap().unwrap();
        assert!(draft.is_clone());
        draft
    }

    /// What is wrong with a version, as it is seen now.
    pub(crate) fn findings(&self, version: &Digest, seal: &Seal) -> Vec<Finding> {
        verify(View::of(&self.layout, version).unwrap().path(), seal, Depth::Full)
    }

    /// Everything in the frozen directories: what nobody may change.
    pub(crate) fn frozen(&self) -> BTreeMap<PathBuf, String> {
        let mut all = BTreeMap::new();
        look(&self.layout.frozen(), &mut all);
        all
    }

    /// Mount points below the data directory.
    pub(crate) fn mounts(&self) -> Vec<String> {
        let mounts = std::fs::read_to_string("/proc/thread-self/mounts").unwrap();
        let below = format!("{}/", self.layout.root().display());
        mounts
            .lines()
            .filter_map(|line| Some(line.split(' ').nth(1)?.strip_prefix(&below)?.to_owned()))
            .collect()
    }

    pub(crate) fn list(&self, folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .map(|entries| entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
            .unwrap_or_default();
        names.sort();
        names
    }
}

pub(crate) fn extract(root: &Path, layers: &[&[u8]]) -> Seal {
    let mut extraction = Extraction::new(root, Limits::default(), |_| ()).unwrap();
    for layer in layers {
        extraction.apply(*layer, None).unwrap();
    }
    extraction.finish().unwrap().seal
}

fn look(path: &Path, all: &mut BTreeMap<PathBuf, String>) {
    let found = std::fs::symlink_metadata(path).unwrap();
    let kind = found.file_type();
    let content = if kind.is_file() { format!("{:?}", std::fs::read(path).unwrap()) } else { String::new() };
    let text = format!(
        "{:o} {} {} {} {} {} {content}",
        found.mode(),
        found.uid(),
        found.rdev(),
        found.nlink(),
        found.mtime(),
        found.ctime_nsec()
    );
    all.insert(path.to_owned(), text);
    if kind.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            look(&entry.unwrap().path(), all);
        }
    }
}

/// Only what a workload added differs.
pub(crate) fn is_intact(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.problem == Problem::Extra)
}

pub(crate) fn digest(letter: char) -> Digest {
    format!("sha256:{}", letter.to_string().repeat(64)).parse().unwrap()
}

/// A layer's bytes.
pub(crate) fn bytes(layer: Layer) -> Vec<u8> {
    layer.build().bytes.to_vec()
}

/// Runs a shell script to its end.
pub(crate) fn run(script: &str) {
    let output = Command::new("sh").args(["-ec", script]).output().unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[expect(clippy::print_stderr, reason = "a test that did not run says so")]
fn skip<T>(reason: &str) -> Option<T> {
    let required = std::env::var("DOCKERLOADER_REQUIRE_TOOLS").is_ok_and(|value| value == "1");
    assert!(!required, "DOCKERLOADER_REQUIRE_TOOLS=1, but {reason}");
    eprintln!("skipped: {reason}");
    None
}
