//! `storage/v1/volume.json`: what was found at the last probe, and under which circumstances that holds.

use serde::{Deserialize, Serialize};

use crate::disk::Disk;
use crate::layout::Layout;
use crate::status::Trees;

/// Largest file that is read, in bytes.
const BYTES: u64 = 64 << 10;

/// What the last pull found and chose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Where and as whom the attempts were made; elsewhere they are made again.
    pub circumstances: Circumstances,
    /// What they found, and what was chosen.
    pub trees: Trees,
}

/// All that the outcome of a probe depends on, as far as a process can see it at little cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circumstances {
    /// Version of the loader, whose attempts they were.
    pub loader: String,
    /// Device number of the store's file system.
    pub device: u64,
    /// Type of the file system (`statfs(2)`, `f_type`).
    pub file_system: u64,
    /// Identity of the running kernel: it changes with every boot.
    pub boot: String,
    /// The mount namespace: another container is another one.
    pub namespace: String,
    /// Effective user, and lines `CapEff`, `NoNewPrivs` and `Seccomp` of `proc_pid_status(5)`.
    pub rights: String,
}

/// What the last pull remembered; `None` when there was none, or it can't be read: it is found out anew then.
pub fn recall(disk: &(impl Disk + ?Sized), layout: &Layout) -> Option<Memory> {
    serde_json::from_slice(&disk.read(&layout.volume(), BYTES).ok()?).ok()
}
