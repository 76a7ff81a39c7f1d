//! Whatever a power cut, a full disk or a newer deviced leaves: a history begins (I6), and says what became of the old one.
#![expect(clippy::disallowed_methods, reason = "these tests damage files")]

use std::fs;
use std::path::Path;

use super::super::{History, file};
use super::*;

/// The files of a history that was not closed, as after `kill -9`: what was written is partly in the log beside the database.
pub(super) fn killed(into: &Path) {
    let directory = tempfile::tempdir().unwrap();
    let (history, _) = History::open(directory.path()).unwrap();
    full(&history);
    for name in ["history.sqlite", "history.sqlite-wal"] {
        fs::copy(directory.path().join(name), into.join(name)).unwrap();
    }
}

/// It opens, and works.
fn opens(directory: &Path) -> (History, Option<String>) {
    let (history, said) = History::open(directory).unwrap();
    assert!(history.is_kept(), "{said:?}");
    history.record_swap(&swap("db", Stage::Create)).unwrap();
    history.happen("document", None, "it works").unwrap();
    assert!(history.swaps().unwrap().contains_key("db"));
    (history, said)
}

fn aside(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("broken"))
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn what_was_written_before_a_kill_is_there_after_it() {
    let ground = tempfile::tempdir().unwrap();
    killed(ground.path());
    let (history, said) = opens(ground.path());
    assert_eq!(said, None);
    assert_eq!(history.swaps().unwrap()["web"], swap("web", Stage::Prove));
    assert_eq!(history.verdicts().unwrap().len(), 1);
}

#[test]
fn a_log_torn_at_any_length_costs_the_last_changes_at_most() {
    let whole = tempfile::tempdir().unwrap();
    killed(whole.path());
    let log = fs::read(whole.path().join("history.sqlite-wal")).unwrap();
    assert!(log.len() > 50_000, "{}", log.len());
    let lengths = (0..64).chain((64..log.len()).step_by(log.len() / 60)).chain([log.len() - 1]);
    for length in lengths {
        let ground = tempfile::tempdir().unwrap();
        fs::copy(whole.path().join("history.sqlite"), ground.path().join("history.sqlite")).unwrap();
        fs::write(ground.path().join("history.sqlite-wal"), &log[..length]).unwrap();
        let (_, said) = opens(ground.path());
        assert_eq!(said, None, "torn at {length}");
    }
}

#[test]
fn a_database_torn_at_any_length_is_moved_aside() {
    let whole = tempfile::tempdir().unwrap();
    full(&History::open(whole.path()).unwrap().0);
    let database = fs::read(whole.path().join("history.sqlite")).unwrap();
    let some = [1, 15, 16, 99, 100, 511, 512, database.len() - 1];
    for length in some.into_iter().chain((1_000..database.len()).step_by(database.len() / 40)) {
        let ground = tempfile::tempdir().unwrap();
        fs::write(ground.path().join("history.sqlite"), &database[..length]).unwrap();
        let (history, said) = opens(ground.path());
        let Some(said) = said else {
            // Nothing of worth was in what is missing.
            assert!(length > database.len() - 4096, "torn at {length} of {}", database.len());
            full(&history);
            continue;
        };
        assert!(said.contains("history.sqlite.broken-1"), "torn at {length}: {said}");
        assert_eq!(fs::read(ground.path().join("history.sqlite.broken-1")).unwrap(), database[..length]);
    }
}

#[test]
fn a_page_of_anything_else_is_survived() {
    let whole = tempfile::tempdir().unwrap();
    full(&History::open(whole.path()).unwrap().0);
    let database = fs::read(whole.path().join("history.sqlite")).unwrap();
    for (page, fill) in (0..database.len() / 4096).map(|page| (page, [0, 0xff, b'x'][page % 3])) {
        let ground = tempfile::tempdir().unwrap();
        let mut damaged = database.clone();
        damaged[page * 4096..(page + 1) * 4096].fill(fill);
        fs::write(ground.path().join("history.sqlite"), &damaged).unwrap();
        let (history, _) = opens(ground.path());
        // Whether it was found or is not of importance: everything can be asked for.
        full(&history);
        history.versions().unwrap();
        history.operations(10, None).unwrap();
    }
}

#[test]
fn what_is_no_history_is_moved_aside_whatever_it_is() {
    let foreign = |sql: &'static str| {
        move |path: &Path| rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap()
    };
    type Put = Box<dyn Fn(&Path)>;
    let cases: Vec<(&str, Put)> = vec![
        (
            "garbage",
            Box::new(|path| {
                fs::write(
                    path,
                    "no database at all, but longer than a header of SQLite, which has 100 bytes. "
                        .repeat(50),
                )
                .unwrap()
            }),
        ),
        ("zeros", Box::new(|path| fs::write(path, vec![0; 20_000]).unwrap())),
        ("somebody else's database", Box::new(foreign("CREATE TABLE swaps (x)"))),
        (
            "one that says to be ours",
            Box::new(foreign(
                "CREATE TABLE x (x); PRAGMA application_id = 0x64657664; PRAGMA user_version = 1",
            )),
        ),
        ("a directory", Box::new(|path| fs::create_dir_all(path.join("in/it")).unwrap())),
        ("a link to nowhere", Box::new(|path| std::os::unix::fs::symlink("/nowhere/at/all", path).unwrap())),
    ];
    for (what, put) in cases {
        let ground = tempfile::tempdir().unwrap();
        put(&ground.path().join("history.sqlite"));
        let (_, said) = opens(ground.path());
        assert!(said.is_some_and(|said| said.contains("broken-1")), "{what}");
    }
}

#[test]
fn a_newer_history_is_moved_aside_and_kept_whole() {
    let ground = tempfile::tempdir().unwrap();
    let (history, _) = History::open(ground.path()).unwrap();
    full(&history);
    history.lock().execute_batch("PRAGMA user_version = 99").unwrap();
    drop(history);
    let before = fs::read(ground.path().join("history.sqlite")).unwrap();
    let (history, said) = opens(ground.path());
    assert!(said.unwrap().contains("newer deviced wrote it (schema 99)"));
    assert!(history.verdicts().unwrap().is_empty());
    assert_eq!(fs::read(ground.path().join("history.sqlite.broken-1")).unwrap(), before);
}

#[test]
fn the_last_three_that_were_moved_aside_are_kept() {
    let ground = tempfile::tempdir().unwrap();
    for number in 1..=6 {
        fs::write(ground.path().join("history.sqlite"), format!("number {number}")).unwrap();
        fs::write(ground.path().join("history.sqlite-wal"), "its log").unwrap();
        opens(ground.path());
    }
    let expected = [4, 5, 6].map(|number| format!("history.sqlite.broken-{number}"));
    let expected: Vec<_> = expected.iter().flat_map(|name| [name.clone(), format!("{name}-wal")]).collect();
    assert_eq!(aside(ground.path()), expected);
    assert_eq!(fs::read_to_string(ground.path().join("history.sqlite.broken-6")).unwrap(), "number 6");
}

#[test]
fn where_nothing_can_be_written_it_is_kept_in_memory_and_said() {
    // No directory can be made below a file, not even by root.
    let file = tempfile::NamedTempFile::new().unwrap();
    let (history, said) = History::open(&file.path().join("below")).unwrap();
    let said = said.unwrap();
    assert!(said.contains("can't be written") && said.contains("forgotten"), "{said}");
    assert!(!history.is_kept());
    full(&history);
    assert_eq!(history.swaps().unwrap().len(), 1);
}

#[test]
fn what_a_history_on_a_failing_disk_knows_is_read_without_writing() {
    let ground = tempfile::tempdir().unwrap();
    killed(ground.path());
    let before =
        ["history.sqlite", "history.sqlite-wal"].map(|name| fs::read(ground.path().join(name)).unwrap());
    let history = History::in_memory().unwrap();
    file::copy(ground.path(), &history.lock()).unwrap();
    assert_eq!(history.swaps().unwrap()["web"], swap("web", Stage::Prove));
    assert_eq!(history.latest_revision().unwrap().unwrap().revision, 1);
    // Numbers go on where they were.
    assert_eq!(history.commit_version(&version("web", 2)).unwrap(), 2);
    let after =
        ["history.sqlite", "history.sqlite-wal"].map(|name| fs::read(ground.path().join(name)).unwrap());
    assert!(before == after);
    let mut names: Vec<_> =
        fs::read_dir(ground.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort_unstable();
    assert_eq!(names, ["history.sqlite", "history.sqlite-wal"]);
}

#[test]
fn nobody_else_can_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let ground = tempfile::tempdir().unwrap();
    let (history, _) = History::open(ground.path()).unwrap();
    full(&history);
    for name in ["history.sqlite", "history.sqlite-wal", "deviced.lock"] {
        let mode = fs::metadata(ground.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn whatever_is_in_the_locks_place_one_alone_has_the_directory() {
    let ground = tempfile::tempdir().unwrap();
    fs::create_dir(ground.path().join("deviced.lock")).unwrap();
    let (history, _) = opens(ground.path());
    assert!(History::open(ground.path()).is_err());
    drop(history);
    opens(ground.path());
}
