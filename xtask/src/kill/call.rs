//! System calls, and what they are to the bed: pure.

use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;

use super::role::Role;

/// What a system call does, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Changes the data directory, or makes changes durable.
    Change,
    /// Looks at the data directory.
    Look,
    /// What other processes notice: messages, new processes, an end.
    Talk,
    /// Makes a file descriptor outside the data directory.
    Descriptor,
}

/// Where a system call names a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A path at this argument.
    Path(usize),
    /// A directory's descriptor at the first argument, a path at the second.
    At,
    /// Likewise, at the third and the fourth.
    SecondAt,
    /// A descriptor at this argument.
    Descriptor(usize),
    /// Nowhere.
    Nowhere,
}

/// What is known of a system call by its number alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    number: i64,
    pub(super) name: &'static str,
    pub(super) place: Place,
    /// What it is on a file of the data directory.
    inside: Option<Kind>,
    /// What it is elsewhere.
    outside: Option<Kind>,
}

const fn entry(number: i64, name: &'static str, place: Place, inside: Kind) -> Entry {
    Entry { number, name, place, inside: Some(inside), outside: None }
}

const fn both(number: i64, name: &'static str, place: Place, inside: Kind, outside: Kind) -> Entry {
    Entry { number, name, place, inside: Some(inside), outside: Some(outside) }
}

const fn anywhere(number: i64, name: &'static str, kind: Kind) -> Entry {
    Entry { number, name, place: Place::Nowhere, inside: None, outside: Some(kind) }
}

/// The calls that matter (`syscalls(2)`).
const TABLE: &[Entry] = &[
    both(libc::SYS_open, "open", Place::Path(0), Kind::Look, Kind::Descriptor),
    both(libc::SYS_openat, "openat", Place::At, Kind::Look, Kind::Descriptor),
    both(libc::SYS_openat2, "openat2", Place::At, Kind::Look, Kind::Descriptor),
    entry(libc::SYS_creat, "creat", Place::Path(0), Kind::Change),
    entry(libc::SYS_mkdir, "mkdir", Place::Path(0), Kind::Change),
    entry(libc::SYS_mkdirat, "mkdirat", Place::At, Kind::Change),
    entry(libc::SYS_mknodat, "mknodat", Place::At, Kind::Change),
    entry(libc::SYS_rename, "rename", Place::Path(1), Kind::Change),
    entry(libc::SYS_renameat, "renameat", Place::SecondAt, Kind::Change),
    entry(libc::SYS_renameat2, "renameat2", Place::SecondAt, Kind::Change),
    entry(libc::SYS_unlink, "unlink", Place::Path(0), Kind::Change),
    entry(libc::SYS_unlinkat, "unlinkat", Place::At, Kind::Change),
    entry(libc::SYS_rmdir, "rmdir", Place::Path(0), Kind::Change),
    entry(libc::SYS_symlink, "symlink", Place::Path(1), Kind::Change),
    // The second argument is the directory, the third the path: the directory tells enough.
    entry(libc::SYS_symlinkat, "symlinkat", Place::Descriptor(1), Kind::Change),
    entry(libc::SYS_link, "link", Place::Path(1), Kind::Change),
    entry(libc::SYS_linkat, "linkat", Place::SecondAt, Kind::Change),
    both(libc::SYS_write, "write", Place::Descriptor(0), Kind::Change, Kind::Talk),
    both(libc::SYS_writev, "writev", Place::Descriptor(0), Kind::Change, Kind::Talk),
    entry(libc::SYS_pwrite64, "pwrite64", Place::Descriptor(0), Kind::Change),
    entry(libc::SYS_pwritev, "pwritev", Place::Descriptor(0), Kind::Change),
    entry(libc::SYS_ftruncate, "ftruncate", Place::Descriptor(0), Kind::Change),
    entry(libc::SYS_truncate, "truncate", Place::Path(0), Kind::Change),
    entry(libc::SYS_fallocate, "fallocate", Place::Descriptor(0), Kind::Change),
    entry(libc::SYS_copy_file_range, "copy_file_range", Place::Descriptor(2), Kind::Change),
    entry(libc::SYS_sendfile, "sendfile", Place::Descriptor(0), Kind::Change),
    entry(libc::SYS_fsync, "fsync", Place::Descriptor(0), Kind::Change),
    entry(libc::SYS_fdatasync, "fdatasync", Place::Descriptor(0), Kind::Change),
    entry(libc::SYS_syncfs, "syncfs", Place::Descriptor(0), Kind::Change),
    entry(libc::SYS_sync_file_range, "sync_file_range", Place::Descriptor(0), Kind::Change),
    entry(libc::SYS_chmod, "chmod", Place::Path(0), Kind::Change),
    entry(libc::SYS_fchmod, "fchmod", Place::Descriptor(0), Kind::Change),
    entry(libc::SYS_fchmodat, "fchmodat", Place::At, Kind::Change),
    entry(libc::SYS_chown, "chown", Place::Path(0), Kind::Change),
    entry(libc::SYS_lchown, "lchown", Place::Path(0), Kind::Change),
    entry(libc::SYS_fchown, "fchown", Place::Descriptor(0), Kind::Change),
    entry(libc::SYS_fchownat, "fchownat", Place::At, Kind::Change),
    entry(libc::SYS_utimensat, "utimensat", Place::At, Kind::Change),
    entry(libc::SYS_setxattr, "setxattr", Place::Path(0), Kind::Change),
    entry(libc::SYS_lsetxattr, "lsetxattr", Place::Path(0), Kind::Change),
    entry(libc::SYS_fsetxattr, "fsetxattr", Place::Descriptor(0), Kind::Change),
    entry(libc::SYS_removexattr, "removexattr", Place::Path(0), Kind::Change),
    entry(libc::SYS_lremovexattr, "lremovexattr", Place::Path(0), Kind::Change),
    entry(libc::SYS_fremovexattr, "fremovexattr", Place::Descriptor(0), Kind::Change),
    entry(libc::SYS_ioctl, "ioctl", Place::Descriptor(0), Kind::Change),
    entry(libc::SYS_flock, "flock", Place::Descriptor(0), Kind::Change),
    entry(libc::SYS_mount, "mount", Place::Path(1), Kind::Change),
    entry(libc::SYS_umount2, "umount2", Place::Path(0), Kind::Change),
    entry(libc::SYS_move_mount, "move_mount", Place::SecondAt, Kind::Change),
    entry(libc::SYS_read, "read", Place::Descriptor(0), Kind::Look),
    entry(libc::SYS_readv, "readv", Place::Descriptor(0), Kind::Look),
    entry(libc::SYS_pread64, "pread64", Place::Descriptor(0), Kind::Look),
    entry(libc::SYS_getdents64, "getdents64", Place::Descriptor(0), Kind::Look),
    entry(libc::SYS_lseek, "lseek", Place::Descriptor(0), Kind::Look),
    entry(libc::SYS_readlink, "readlink", Place::Path(0), Kind::Look),
    entry(libc::SYS_readlinkat, "readlinkat", Place::At, Kind::Look),
    entry(libc::SYS_stat, "stat", Place::Path(0), Kind::Look),
    entry(libc::SYS_lstat, "lstat", Place::Path(0), Kind::Look),
    entry(libc::SYS_fstat, "fstat", Place::Descriptor(0), Kind::Look),
    entry(libc::SYS_newfstatat, "newfstatat", Place::At, Kind::Look),
    entry(libc::SYS_statx, "statx", Place::At, Kind::Look),
    entry(libc::SYS_statfs, "statfs", Place::Path(0), Kind::Look),
    entry(libc::SYS_fstatfs, "fstatfs", Place::Descriptor(0), Kind::Look),
    entry(libc::SYS_access, "access", Place::Path(0), Kind::Look),
    entry(libc::SYS_faccessat, "faccessat", Place::At, Kind::Look),
    entry(libc::SYS_getxattr, "getxattr", Place::Path(0), Kind::Look),
    entry(libc::SYS_lgetxattr, "lgetxattr", Place::Path(0), Kind::Look),
    entry(libc::SYS_fgetxattr, "fgetxattr", Place::Descriptor(0), Kind::Look),
    entry(libc::SYS_llistxattr, "llistxattr", Place::Path(0), Kind::Look),
    entry(libc::SYS_flistxattr, "flistxattr", Place::Descriptor(0), Kind::Look),
    anywhere(libc::SYS_sendto, "sendto", Kind::Talk),
    anywhere(libc::SYS_sendmsg, "sendmsg", Kind::Talk),
    anywhere(libc::SYS_clone, "clone", Kind::Talk),
    anywhere(libc::SYS_clone3, "clone3", Kind::Talk),
    anywhere(libc::SYS_fork, "fork", Kind::Talk),
    anywhere(libc::SYS_vfork, "vfork", Kind::Talk),
    anywhere(libc::SYS_execve, "execve", Kind::Talk),
    anywhere(libc::SYS_kill, "kill", Kind::Talk),
    anywhere(libc::SYS_exit_group, "exit_group", Kind::Talk),
    anywhere(libc::SYS_socket, "socket", Kind::Descriptor),
    anywhere(libc::SYS_socketpair, "socketpair", Kind::Descriptor),
    anywhere(libc::SYS_accept4, "accept4", Kind::Descriptor),
    anywhere(libc::SYS_pipe2, "pipe2", Kind::Descriptor),
    anywhere(libc::SYS_dup, "dup", Kind::Descriptor),
    anywhere(libc::SYS_epoll_create1, "epoll_create1", Kind::Descriptor),
    anywhere(libc::SYS_eventfd2, "eventfd2", Kind::Descriptor),
    anywhere(libc::SYS_timerfd_create, "timerfd_create", Kind::Descriptor),
    anywhere(libc::SYS_signalfd4, "signalfd4", Kind::Descriptor),
    anywhere(libc::SYS_memfd_create, "memfd_create", Kind::Descriptor),
];

/// What is known of a system call by its number; `None` when it doesn't matter.
pub(super) fn entry_of(number: i64) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| entry.number == number)
}

/// One system call of a process that is watched, before it is done.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) role: Role,
    /// The process.
    pub(super) process: i32,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) path: Option<PathBuf>,
    /// There is nothing at the path yet.
    pub(super) is_new: bool,
}

/// What an `open` is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Opens {
    /// It may write, cut or make.
    pub(super) writes: bool,
    /// There is nothing at the path yet.
    pub(super) is_new: bool,
}

impl Call {
    /// Judges a call; `None` when it doesn't matter.
    pub(super) fn new(
        role: Role,
        process: i32,
        entry: &Entry,
        path: Option<PathBuf>,
        opens: Opens,
        data: &Path,
    ) -> Option<Self> {
        let inside = path.as_deref().is_some_and(|path| path.starts_with(data));
        let kind = match (inside, entry.inside) {
            (true, Some(Kind::Look)) if opens.writes => Kind::Change,
            (true, Some(kind)) => kind,
            _ => entry.outside?,
        };
        // The loader of programs opens libraries: whoever has none of them never comes to be.
        let library = path.as_deref().is_some_and(|path| {
            ["/lib", "/usr/lib", "/etc/ld.so", "/proc", "/sys"].iter().any(|folder| path.starts_with(folder))
                || path.starts_with("/lib64")
                || path.as_os_str().as_encoded_bytes().starts_with(b"/etc/ld.so")
        });
        if kind == Kind::Descriptor && library {
            return None;
        }
        Some(Self { role, process, name: entry.name, kind, path, is_new: opens.is_new })
    }

    /// Whether a kill before it may find another state than a kill before the one that came last.
    pub(super) fn is_point(&self) -> bool {
        matches!(self.kind, Kind::Change | Kind::Talk)
    }

    /// Whether the kernel may answer with this error.
    pub(super) fn may_fail(&self, error: Errno) -> bool {
        let opens = matches!(self.name, "open" | "openat" | "openat2");
        match error {
            Errno::ENOSPC | Errno::EDQUOT => {
                self.kind == Kind::Change
                    && ((opens && self.is_new)
                        || matches!(
                            self.name,
                            "creat"
                                | "mkdir"
                                | "mkdirat"
                                | "mknodat"
                                | "rename"
                                | "renameat"
                                | "renameat2"
                                | "symlink"
                                | "symlinkat"
                                | "link"
                                | "linkat"
                                | "write"
                                | "writev"
                                | "pwrite64"
                                | "pwritev"
                                | "ftruncate"
                                | "fallocate"
                                | "copy_file_range"
                                | "sendfile"
                                | "fsync"
                                | "fdatasync"
                                | "syncfs"
                                | "setxattr"
                                | "lsetxattr"
                                | "fsetxattr"
                                | "ioctl"
                        ))
            }
            Errno::EIO => {
                matches!(self.kind, Kind::Change | Kind::Look)
                    && !matches!(self.name, "flock" | "lseek" | "ioctl")
            }
            Errno::EMFILE => opens || self.name == "creat" || self.kind == Kind::Descriptor,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(number: i64, path: &str, writes: bool) -> Option<Call> {
        let entry = entry_of(number).expect("a call that matters");
        Call::new(
            Role::Puller,
            1,
            entry,
            Some(path.into()),
            Opens { writes, is_new: writes },
            Path::new("/data"),
        )
    }

    #[test]
    fn what_a_call_is_depends_on_where_it_leads() {
        for (number, path, writes, expected) in [
            (libc::SYS_openat, "/data/x", true, Some(Kind::Change)),
            (libc::SYS_openat, "/data/x", false, Some(Kind::Look)),
            (libc::SYS_openat, "/etc/hosts", false, Some(Kind::Descriptor)),
            (libc::SYS_openat, "/lib/x86_64-linux-gnu/libc.so.6", false, None),
            (libc::SYS_openat, "/database", true, Some(Kind::Descriptor)),
            (libc::SYS_rename, "/elsewhere", false, None),
            (libc::SYS_rename, "/data/dockerloader/entrypoint", false, Some(Kind::Change)),
            (libc::SYS_write, "pipe:[7]", false, Some(Kind::Talk)),
            (libc::SYS_write, "/data/x", false, Some(Kind::Change)),
            (libc::SYS_read, "socket:[7]", false, None),
            (libc::SYS_exit_group, "", false, Some(Kind::Talk)),
        ] {
            let kind = call(number, path, writes).map(|call| call.kind);
            assert_eq!(kind, expected, "{number} {path}");
        }
        assert!(entry_of(libc::SYS_getpid).is_none());
    }

    #[test]
    fn errors_are_those_that_the_call_can_have() {
        let fails =
            |number, path, writes, error| call(number, path, writes).is_some_and(|call| call.may_fail(error));
        assert!(fails(libc::SYS_openat, "/data/x", true, Errno::ENOSPC));
        assert!(!fails(libc::SYS_openat, "/data/x", false, Errno::ENOSPC));
        assert!(fails(libc::SYS_openat, "/data/x", false, Errno::EMFILE));
        assert!(fails(libc::SYS_fsync, "/data/x", false, Errno::EIO));
        assert!(!fails(libc::SYS_unlink, "/data/x", false, Errno::ENOSPC));
        assert!(!fails(libc::SYS_write, "/data/x", false, Errno::EMFILE));
        assert!(fails(libc::SYS_socket, "", false, Errno::EMFILE));
        assert!(!fails(libc::SYS_write, "pipe:[7]", false, Errno::EIO));
    }

    #[test]
    fn each_number_stands_once() {
        let mut numbers: Vec<_> = TABLE.iter().map(|entry| entry.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), TABLE.len());
    }
}
