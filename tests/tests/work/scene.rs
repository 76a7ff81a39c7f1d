//! A registry in this process, a data directory, and pulls by the real binary.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use fixtures::ground::Ground;
use fixtures::image::{Image, Layer, noise};
use fixtures::registry::{Kind, Registry, Request};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use tests::programs::built;

/// Everything that a pull needs.
pub(crate) struct Scene {
    pub(crate) registry: Registry,
    pub(crate) ground: Ground,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self { registry: Registry::start(), ground: Ground::new() }
    }

    /// A scene whose registry has an image of this layer.
    pub(crate) fn with(layer: Layer) -> Self {
        let scene = Self::new();
        scene.publish(vec![layer]);
        scene
    }

    /// Points the tag to an image of these layers, lowest first.
    pub(crate) fn publish(&self, layers: Vec<Layer>) {
        let entrypoint = Image::with_entrypoint(b"#!/bin/sh\n");
        let image = layers.into_iter().fold(entrypoint, Image::layer);
        self.registry.put("app", "v1", &image.build());
    }

    /// `dockerloader pull --stage`, below another program if one is given.
    pub(crate) fn pull(&self, below: Option<Command>) -> Command {
        let mut command = self.command(below);
        command.args(["pull", "--stage"]).env("DOCKERLOADER_TARGET", self.registry.reference("app", "v1"));
        command
    }

    /// Makes what is staged the current version, and cleans up, as happens when a trial succeeds.
    pub(crate) fn commit(&self) {
        let staged = self.ground.read_slot("entrypoint-attempt").expect("a staged version");
        if let Some(current) = self.ground.read_slot("entrypoint") {
            self.ground.link("entrypoint-previous", &current);
        }
        self.ground.link("entrypoint", &staged);
        std::fs::remove_file(self.ground.root().join("entrypoint-attempt"))
            .expect("the staged version's link");
        let mut gc = self.command(None);
        succeed(gc.arg("gc"));
    }

    /// Pulls and commits.
    pub(crate) fn install(&self) {
        succeed(&mut self.pull(None));
        self.commit();
    }

    fn command(&self, below: Option<Command>) -> Command {
        let program = built("dockerloader");
        let mut command = below.map_or_else(
            || Command::new(&program),
            |mut other| {
                other.arg(&program);
                other
            },
        );
        command.env_clear().env("PATH", "/usr/bin:/bin").env("DOCKERLOADER_DATA_DIR", self.ground.data());
        // Works on every file system, so that the figures are of the same way everywhere.
        command.env("DOCKERLOADER_TREE_METHOD", "copy");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// The one blob that is on its way in, if there is one.
    pub(crate) fn partial(&self) -> Option<PathBuf> {
        let blobs = self.ground.root().join("storage/v1/blobs");
        let name = self.ground.list("blobs").into_iter().find(|name| name.contains("partial"))?;
        Some(blobs.join(name))
    }

    /// Bytes of blobs that were asked for, by ranges where there are any.
    pub(crate) fn bytes_asked_for(&self) -> u64 {
        let blobs =
            self.registry.requests().into_iter().filter(|request| {
                request.method == "GET" && request.kind == Kind::Blob && request.status < 300
            });
        blobs.map(|request| self.length(&request)).sum()
    }

    fn length(&self, request: &Request) -> u64 {
        let digest = request.path.rsplit('/').next().unwrap_or_default();
        let blob = self.registry.blob("app", digest).expect("a blob that was asked for").len() as u64;
        let range = request.range.as_deref().filter(|_| request.status == 206);
        let Some((from, to)) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) else {
            return blob;
        };
        let from = from.parse::<u64>().expect("the start of a range");
        to.parse::<u64>().map_or(blob, |to| (to + 1).min(blob)) - from
    }
}

/// A layer of so many files of this length below one directory for each hundred.
pub(crate) fn files(count: u64, length: usize) -> Layer {
    changed_files(count, length, 0, 0)
}

/// The same, of which the first `changed` have other contents.
pub(crate) fn changed_files(count: u64, length: usize, changed: u64, build: u64) -> Layer {
    (0..count).fold(Layer::new(), |layer, number| {
        let directory = format!("opt/part{:03}", number / 100);
        let layer = if number % 100 == 0 { layer.dir(&directory, 0o755) } else { layer };
        let seed = if number < changed { number + 1_000_000 * build } else { number };
        layer.file(&format!("{directory}/file-{number:05}"), 0o644, &noise(seed, length))
    })
}

/// Runs a command that has to end well.
pub(crate) fn succeed(command: &mut Command) {
    let status = command.status().expect("the program");
    assert!(status.success(), "{command:?}: {status}");
}

/// Runs a command that has to end well. Gives how many bytes it handed to `write(2)` and its like (`wchar` of proc_pid_io(5)).
pub(crate) fn written_by(command: &mut Command) -> u64 {
    let mut child = command.spawn().expect("the program");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    // Ended, and still there to be looked at.
    waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).expect("a child");
    let written = wchar(&child);
    let status = child.wait().expect("a child");
    assert!(status.success(), "{command:?}: {status}");
    written
}

fn wchar(child: &Child) -> u64 {
    let text = std::fs::read_to_string(Path::new("/proc").join(child.id().to_string()).join("io"))
        .expect("its figures");
    let value = text.lines().find_map(|line| line.strip_prefix("wchar: "));
    value.and_then(|value| value.trim().parse().ok()).expect("bytes written")
}

/// Whether a process was killed by us.
pub(crate) fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(9)
}
