//! What a program may have done to the tree it ran in.
#![expect(clippy::disallowed_methods, reason = "the test damages trees")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use crate::random::Random;

/// Does something to the tree; what is not possible there is left.
pub(crate) fn damage(root: &Path, outside: &Path, random: &mut Random) {
    let all = paths(root);
    let path = random.pick(&all).clone();
    let Ok(stat) = fs::symlink_metadata(&path) else { return };
    match random.below(14) {
        0 if stat.is_file() => drop(fs::write(&path, "written by the workload")),
        1 if stat.is_file() => drop(fs::File::options().write(true).truncate(true).open(&path)),
        2 if stat.is_file() && stat.len() > 0 => deceive(&path, &stat),
        3 if path != root => remove(&path),
        4 if stat.is_dir() => drop(fs::write(path.join("added"), "by the workload")),
        5 if stat.is_dir() => drop(fs::create_dir_all(path.join("cache/deep/er"))),
        6 if !stat.is_symlink() => {
            let mode = *random.pick(&[0o755, 0o777, 0o500, 0o644]);
            let mode = if stat.is_dir() { mode | 0o500 } else { mode };
            drop(fs::set_permissions(&path, fs::Permissions::from_mode(mode)));
        }
        7 if path != root => {
            remove(&path);
            drop(symlink(outside, &path));
        }
        8 if path != root => {
            remove(&path);
            drop(fs::create_dir_all(path.join("instead")));
        }
        9 if path != root => {
            remove(&path);
            let mode = rustix::fs::Mode::RUSR;
            let _ = rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0);
        }
        10 if stat.is_file() => {
            let _ = rustix::fs::setxattr(&path, "user.workload", b"x", rustix::fs::XattrFlags::empty());
        }
        11 if stat.is_file() => drop(fs::hard_link(&path, random.pick(&all).with_extension("link"))),
        12 if path != root => drop(fs::rename(&path, random.pick(&all).with_extension("moved"))),
        // Elsewhere on the same file system: it must not be written to when the tree is changed.
        13 if stat.is_file() => {
            let name = format!("linked-{}", random.below(1_000_000));
            drop(fs::hard_link(&path, outside.parent().unwrap().join("links").join(name)));
        }
        _ => {}
    }
}

/// Other contents, all else as before.
fn deceive(path: &Path, stat: &fs::Metadata) {
    let Ok(mut contents) = fs::read(path) else { return };
    contents[0] ^= 0x20;
    if fs::write(path, contents).is_ok() {
        let since = Duration::new(stat.mtime().try_into().unwrap(), stat.mtime_nsec().try_into().unwrap());
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(UNIX_EPOCH + since).unwrap();
    }
}

fn remove(path: &Path) {
    if fs::remove_file(path).is_err() {
        drop(fs::remove_dir_all(path));
    }
}

fn paths(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![root.to_owned()];
    let mut at = 0;
    while let Some(directory) = found.get(at) {
        at += 1;
        if fs::symlink_metadata(directory).is_ok_and(|stat| stat.is_dir())
            && let Ok(entries) = fs::read_dir(directory)
        {
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
            names.sort();
            found.extend(names);
        }
    }
    found
}
