//! Disks that can't be written to. Each test mounts its own, where that is permitted: in a mount namespace of its thread.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::super::{Error, History};
use super::damage::killed;
use super::*;

/// Runs a test on a disk of so many KiB, which goes with its thread. Where nothing may be mounted, that is said.
fn on_a_disk(kilobytes: u32, test: impl FnOnce(&Path) + Send + 'static) {
    let ground = tempfile::tempdir().unwrap();
    let path = ground.path().to_owned();
    let thread = std::thread::spawn(move || {
        if let Err(error) = unshare(CloneFlags::CLONE_NEWNS) {
            eprintln!("not run: {error}: no mount namespace is permitted here");
            return;
        }
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        let size = format!("size={kilobytes}k");
        mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), Some(size.as_str())).unwrap();
        test(&path);
    });
    thread.join().unwrap();
}

#[test]
fn on_a_read_only_disk_what_is_known_is_known_and_the_directory_is_still_ours_alone() {
    on_a_disk(4096, |path| {
        killed(path);
        let none = None::<&str>;
        mount(none, path, none, MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, none).unwrap();
        let (history, said) = History::open(path).unwrap();
        let said = said.unwrap();
        assert!(said.contains("can't be written") && said.contains("what it knew was read"), "{said}");
        assert!(!history.is_kept());
        assert_eq!(history.swaps().unwrap()["web"], swap("web", Stage::Prove));
        assert_eq!(history.verdicts().unwrap().len(), 1);
        // What comes is remembered as long as it runs.
        history.record_swap(&swap("db", Stage::Create)).unwrap();
        assert_eq!(history.swaps().unwrap().len(), 2);
        assert!(matches!(History::open(path), Err(Error::Held { .. })));
    });
}

#[test]
fn on_a_full_disk_it_opens_says_no_to_what_it_can_t_keep_and_goes_on_when_there_is_room() {
    on_a_disk(8192, |path| {
        killed(path);
        let filling = path.join("filling");
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&filling).unwrap();
        std::io::copy(&mut std::io::repeat(1), &mut file).unwrap_err();
        let (history, said) = History::open(path).unwrap();
        assert!(history.is_kept(), "{said:?}");
        assert_eq!(history.swaps().unwrap()["web"], swap("web", Stage::Prove));
        let lines = vec!["x".repeat(4000); 100];
        let error = history.keep_log("db", &lines).unwrap_err().to_string();
        assert!(error.contains("can't keep the output of a container") && error.contains("full"), "{error}");
        // A refusal leaves nothing behind, and the next call is not worse off for it.
        assert_eq!(history.log("db").unwrap(), None);
        assert_eq!(history.swaps().unwrap().len(), 1);
        file.set_len(0).unwrap();
        history.keep_log("db", &lines).unwrap();
        history.record_swap(&swap("db", Stage::Create)).unwrap();
        drop(history);
        let (history, said) = History::open(path).unwrap();
        assert_eq!(said, None);
        assert_eq!(history.swaps().unwrap().len(), 2);
    });
}
