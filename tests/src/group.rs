//! A control group that allows so much memory and no more (`cgroup-v1/memory.rst`, `cgroup-v2.rst`).
#![expect(clippy::disallowed_methods, reason = "a test makes and removes a control group")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::signal;
use crate::programs::{skip, text};
use fixtures::mounts::unmount_below;
use fixtures::scratch::Scratch;
use nix::mount::{MsFlags, mount};

/// Between two tries to remove it.
const STEP: Duration = Duration::from_millis(4);

/// The group. What runs in it ends with it, and it is removed.
#[derive(Debug)]
pub struct Group {
    directory: PathBuf,
    peak: &'static str,
    /// Where the controller is mounted, if nobody else had mounted it.
    mounted: Option<Scratch>,
}

impl Group {
    /// A group of so many bytes, page cache included; `None`, with a word, where it can't be had.
    pub fn new(bytes: u64) -> Option<Self> {
        Self::make(bytes).map_err(|why| skip(&format!("no memory control group: {why}"))).ok()
    }

    fn make(bytes: u64) -> Result<Self, String> {
        let (root, mounted) = match find() {
            Some(root) => (root, None),
            None => mount_controller().map(|scratch| (scratch.path().to_owned(), Some(scratch)))?,
        };
        let is_second = root.join("cgroup.controllers").exists();
        let (limit, swap, peak) = if is_second {
            // It may be handed on already, or somebody else's to hand on; then the limit can't be set.
            let _ = fs::write(root.join("cgroup.subtree_control"), "+memory");
            ("memory.max", "memory.swap.max", "memory.peak")
        } else {
            ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.max_usage_in_bytes")
        };
        let directory = root.join(format!("dockerloader-test-{}", std::process::id()));
        let failed = |error: io::Error| format!("{}: {error}", directory.display());
        fs::create_dir(&directory).map_err(failed)?;
        let group = Self { directory: directory.clone(), peak, mounted };
        fs::write(directory.join(limit), bytes.to_string()).map_err(failed)?;
        // Not every kernel counts swap.
        let _ = fs::write(directory.join(swap), if is_second { "0".to_owned() } else { bytes.to_string() });
        Ok(group)
    }

    /// A command that runs `program` in the group.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("/bin/sh");
        let members = self.directory.join("cgroup.procs");
        command.args(["-c", "echo $$ > \"$0\" && exec \"$@\"", text(&members)]).arg(program);
        command
    }

    /// The most bytes that were used at a time, page cache included; `None` where the kernel doesn't tell.
    pub fn peak(&self) -> Option<u64> {
        fs::read_to_string(self.directory.join(self.peak)).ok()?.trim().parse().ok()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let members = fs::read_to_string(self.directory.join("cgroup.procs")).unwrap_or_default();
        members.lines().filter_map(|line| line.parse().ok()).for_each(|pid| signal(pid, 9));
        // A process that was killed is a member until it has ended; this may be a failed test, which must not fail once more.
        for _ in 0..1_000 {
            let removed = fs::remove_dir(&self.directory);
            if !removed.is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy) {
                break;
            }
            std::thread::sleep(STEP);
        }
        if let Some(scratch) = &self.mounted {
            unmount_below(scratch.path());
        }
    }
}

/// Where the memory controller is mounted.
fn find() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut points = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (point, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
        let point = PathBuf::from(point);
        let controllers = || fs::read_to_string(point.join("cgroup.controllers")).unwrap_or_default();
        let has_memory = match kind {
            "cgroup" => options.split(',').any(|option| option == "memory"),
            "cgroup2" => controllers().split_whitespace().any(|controller| controller == "memory"),
            _ => false,
        };
        has_memory.then_some(point)
    });
    points.next()
}

fn mount_controller() -> Result<Scratch, String> {
    let scratch = Scratch::new("cgroup-");
    mount(Some("none"), scratch.path(), Some("cgroup"), MsFlags::empty(), Some("memory"))
        .map_err(|error| format!("the controller is not mounted, and can't be: {error}"))?;
    Ok(scratch)
}
