//! Kinds of damage.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// What is put in a file's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    Empty,
    Cut,
    Random,
    Newer,
    Nested,
    Doubled,
    Huge,
    Directory,
    Fifo,
    LinkOutside,
    LinkNowhere,
    LinkLoop,
}

/// Bytes that look like nothing, the same ones every time.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

impl Damage {
    /// Puts it in place of whatever is at `path`. `outside` is a file that must stay as it is.
    pub(crate) fn put(self, path: &Path, outside: &Path) {
        let before = fs::read(path).unwrap_or_default();
        if fs::symlink_metadata(path).is_ok() {
            fs::remove_file(path).unwrap();
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match self {
            Self::Empty => fs::write(path, "").unwrap(),
            Self::Cut => fs::write(path, &before[..before.len() / 2]).unwrap(),
            Self::Random => fs::write(path, noise(7, 300)).unwrap(),
            Self::Newer => fs::write(path, r#"{"format":2,"new":true}"#).unwrap(),
            Self::Nested => fs::write(path, "[".repeat(100_000)).unwrap(),
            Self::Doubled => {
                fs::write(path, r#"{"format":1,"format":1,"program":"a","program":"b"}"#).unwrap()
            }
            Self::Huge => fs::File::create(path).unwrap().set_len(1 << 30).unwrap(),
            Self::Directory => fs::create_dir_all(path.join("inside")).unwrap(),
            Self::Fifo => nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap(),
            Self::LinkOutside => symlink(outside, path).unwrap(),
            Self::LinkNowhere => symlink(path.with_file_name("nowhere"), path).unwrap(),
            Self::LinkLoop => symlink(path, path).unwrap(),
        }
    }
}
