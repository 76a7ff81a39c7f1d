//! Why a stack can't be mounted or changed.

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::StackError;
use crate::disk;
use crate::remedy::Remedy;

/// Why a stack can't be mounted or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The stack file is there and can't be used.
    #[error("stack {path}: {problem}; the version has to be restored from its layers")]
    Stack {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: StackError,
    },
    /// The kernel refused to mount, or could not be asked.
    #[error("cannot mount an overlay at {path}: {reason}")]
    Mount {
        /// The mount point.
        path: PathBuf,
        /// Why, and what it mostly means.
        reason: String,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody uses a mount that has to go.
    #[error("cannot unmount {path}: {source}; end whatever has files open there")]
    Unmount {
        /// The mount point.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file system failed.
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
            Self::Stack { .. } => Remedy::Corrupt,
            Self::Mount { .. } => Remedy::Local,
            Self::Unmount { .. } => Remedy::Later,
            Self::Io { source, .. } => Remedy::of_io(source),
        }
    }

    /// Whether only the trouble that the machine is in is to blame ([`disk::is_passing`]).
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Stack { .. } => false,
            Self::Mount { source, .. } | Self::Unmount { source, .. } | Self::Io { source, .. } => {
                disk::is_passing(source)
            }
        }
    }

    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    pub(super) fn mount(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Mount { path, reason: in_words(&source), source }
    }
}

/// What an error of `mount(2)` mostly means for an overlay.
pub(super) fn in_words(error: &io::Error) -> String {
    let meaning = match error.raw_os_error().map(Errno::from_raw) {
        // Docker's seccomp profile says EPERM, its AppArmor profile EACCES.
        Some(Errno::EPERM | Errno::EACCES) => "mounting is not permitted here: it needs CAP_SYS_ADMIN",
        Some(Errno::ENODEV) => "the kernel has no overlay file system",
        Some(Errno::EINVAL) => {
            "the data volume can't carry an overlay, as when it is an overlay, a network or a FAT file system itself"
        }
        Some(Errno::ENOENT) => "a directory of the stack is lost",
        _ => return error.to_string(),
    };
    format!("{meaning} ({error})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_told_in_words() {
        for (errno, expected) in [
            (Errno::EPERM, "CAP_SYS_ADMIN"),
            (Errno::EACCES, "CAP_SYS_ADMIN"),
            (Errno::ENODEV, "no overlay"),
            (Errno::EINVAL, "can't carry"),
            (Errno::ENOENT, "lost"),
            (Errno::EIO, "Input/output"),
        ] {
            let error = Error::mount(Path::new("/m"))(io::Error::from_raw_os_error(errno as i32));
            assert!(error.to_string().contains(expected), "{error}");
            assert_eq!(error.remedy(), Remedy::Local);
        }
    }
}
