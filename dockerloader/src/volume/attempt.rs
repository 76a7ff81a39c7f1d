//! The attempts: what the kernel says when each method is tried on the data volume itself.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::memory::{Circumstances, Memory};
use super::{Method, Probe, Unsupported, Wanted, overlay, recall, subvolume};
use crate::disk::{self, Disk as _, RealDisk};
use crate::layout::Layout;
use crate::remedy::Remedy;
use crate::status::Trees;

/// Why no method could be chosen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The one that is wanted does not work here.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// The attempts could not be made.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// What to do about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Unsupported(error) => error.remedy(),
            Self::Io { source, .. } => Remedy::of_io(source),
        }
    }
}

/// The method to use on this data volume; `None` to extract every tree from its layers. What the attempts find about the volume
/// is remembered, so that they are made once in each container and boot.
///
/// The caller holds the store's lock.
///
/// # Errors
/// The wanted method does not work here; the store can't be written to.
pub fn probe(layout: &Layout, wanted: Wanted) -> Result<Option<Method>, Error> {
    let storage = layout.storage();
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { action, path, source }
    };
    RealDisk.create_directories(&storage).map_err(failed("make", &storage))?;
    let circumstances = circumstances(&storage).map_err(failed("look at", &storage))?;
    let remembered = recall(&RealDisk, layout);
    let Found { probe, lasting } = match &remembered {
        Some(memory) if memory.circumstances == circumstances => {
            Found { probe: memory.trees.probe.clone(), lasting: true }
        }
        _ => attempt(layout)?,
    };
    let chosen = probe.choose(wanted);
    let trees = Trees {
        method: chosen.as_ref().ok().copied().flatten(),
        problem: chosen.as_ref().err().map(ToString::to_string),
        probe,
    };
    let memory = Memory { circumstances, trees };
    if lasting && remembered.as_ref() != Some(&memory) {
        let path = layout.volume();
        let text = serde_json::to_vec(&memory).map_err(io::Error::other).map_err(failed("write", &path))?;
        disk::replace_cache(&RealDisk, &path, &text).map_err(failed("write", &path))?;
    }
    Ok(chosen?)
}

/// What the attempts came to.
struct Found {
    probe: Probe,
    /// Only the volume is to blame for what does not work. Else the next pull tries again: a device must not go the long way until
    /// its next boot because it once had no descriptor left.
    lasting: bool,
}

/// Tries all methods in a directory that is removed again, also if an earlier process left it.
fn attempt(layout: &Layout) -> Result<Found, Error> {
    let directory = layout.storage().join("tmp-probe");
    let failed = |action| {
        let path = directory.clone();
        move |source| Error::Io { action, path, source }
    };
    remove(&directory).map_err(failed("remove"))?;
    RealDisk.create_directories(&directory).map_err(failed("make"))?;
    let mut probe = Probe::default();
    let (snapshot, reflink) = (snapshot(&directory), reflink(&directory));
    let text = |error| reason(&directory, error);
    for (method, result) in [(Method::Snapshot, &snapshot), (Method::Reflink, &reflink)] {
        if let Err(error) = result {
            probe.cannot.insert(method, text(error));
        }
    }
    let mut lasting =
        [&snapshot, &reflink].iter().all(|result| !result.as_ref().is_err_and(disk::is_passing));
    remove(&directory).map_err(failed("remove"))?;
    // A full disk says nothing about what the file system can.
    for result in [snapshot, reflink] {
        result
            .or_else(|error| if disk::is_full(&error) { Err(failed("write to")(error)) } else { Ok(()) })?;
    }
    if let Err(unsupported) = overlay::supported(layout) {
        lasting &= !unsupported.passing;
        probe.cannot.insert(Method::Overlay, unsupported.reason);
    }
    Ok(Found { probe, lasting })
}

fn remove(directory: &Path) -> io::Result<()> {
    // Subvolumes first: they may be closed to whoever removes file by file.
    for name in ["snapshot", "subvolume"] {
        let path = directory.join(name);
        if subvolume::is_subvolume(&path) {
            // Where only an emptied subvolume may be removed, that is what follows.
            let _ = subvolume::destroy(&path);
        }
    }
    RealDisk.remove_tree(directory)
}

/// A subvolume with a file, a snapshot of it, and the removal of both.
fn snapshot(directory: &Path) -> io::Result<()> {
    let (of, copy) = (directory.join("subvolume"), directory.join("snapshot"));
    subvolume::create(&of)?;
    File::create_new(of.join("file"))?;
    subvolume::snapshot(&of, &copy)?;
    if !copy.join("file").is_file() {
        return Err(io::Error::other("the snapshot does not have the file"));
    }
    for path in [&copy, &of] {
        RealDisk.remove_tree(path)?;
    }
    Ok(())
}

/// A file that shares its blocks with another.
fn reflink(directory: &Path) -> io::Result<()> {
    use std::io::Write as _;
    let mut from = File::create_new(directory.join("from"))?;
    // More than a file system may keep inside the inode.
    from.write_all(&[1; 8192])?;
    let to = File::create_new(directory.join("to"))?;
    Ok(rustix::fs::ioctl_ficlone(&to, &from)?)
}

/// In words: a file system that doesn't know the operation has various errors for that.
fn reason(directory: &Path, error: &io::Error) -> String {
    use rustix::io::Errno;
    match Errno::from_io_error(error) {
        Some(Errno::NOTTY | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => {
            let magic = subvolume::file_system(directory).unwrap_or_default();
            format!("{} can't", file_system_name(magic))
        }
        _ => error.to_string(),
    }
}

/// The file systems that a data volume is likely on (`statfs(2)`, `linux/magic.h`).
fn file_system_name(magic: u64) -> String {
    match magic {
        0xef53 => "ext4".to_owned(),
        0x5846_5342 => "this XFS".to_owned(),
        subvolume::MAGIC => "this btrfs".to_owned(),
        0x0102_1994 => "tmpfs".to_owned(),
        0xf2f5_2010 => "F2FS".to_owned(),
        0x794c_7630 => "overlayfs".to_owned(),
        0x2fc1_2fc1 => "this ZFS".to_owned(),
        0x6969 => "NFS".to_owned(),
        other => format!("the file system of type {other:#x}"),
    }
}

fn circumstances(storage: &Path) -> io::Result<Circumstances> {
    let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let status = text("/proc/self/status");
    let rights = status
        .lines()
        .filter(|line| {
            ["Uid:", "CapEff:", "NoNewPrivs:", "Seccomp:"].iter().any(|name| line.starts_with(name))
        })
        .collect::<Vec<_>>()
        .join(" ");
    let namespace = std::fs::read_link("/proc/self/ns/mnt").unwrap_or_default();
    Ok(Circumstances {
        loader: env!("CARGO_PKG_VERSION").to_owned(),
        device: std::fs::symlink_metadata(storage)?.dev(),
        file_system: subvolume::file_system(storage)?,
        boot: text("/proc/sys/kernel/random/boot_id").trim().to_owned(),
        namespace: namespace.display().to_string(),
        rights: rights.replace('\t', " "),
    })
}
