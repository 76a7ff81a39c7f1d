//! The demo's own judgement, on planted directories and real processes: it has to be able to say no.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fixtures::registry::{Kind, Request};

use super::expect::{Expected, Named, Process, Role, Seen};
use super::observe::Place;
use super::script::{Action, STEPS};
use super::stamps::{self, Stamp};
use super::text::wrap;
use super::versions::Version::{self, V1, V2, V3, V4, V5};
use super::versions::{COUNT, Release};

const SUPERVISOR: u32 = 100;

fn app(pid: u32, parent: u32, version: Version) -> Process {
    Process { pid, parent, role: Role::App(Named::Version(version)) }
}

/// Makes a difference.
type Change = fn(&mut Seen);

/// What is seen when all is as expected.
fn ideal(expected: &Expected) -> Seen {
    let named = |version: Option<Version>| version.map(Named::Version);
    let mut seen = Seen {
        current: named(expected.current),
        previous: named(expected.previous),
        failed: named(expected.failed),
        downloading: expected.downloading.into_iter().collect(),
        starts: expected.starts,
        fetches: expected.fetches,
        fetches_of_program: 1,
        ..Seen::default()
    };
    if let Some(current) = expected.current.filter(|_| expected.alive) {
        seen.processes =
            vec![Process { pid: SUPERVISOR, parent: 1, role: Role::Loader }, app(101, SUPERVISOR, current)];
    }
    seen
}

#[test]
fn a_step_is_not_taken_for_done_by_what_the_one_before_it_left() {
    let mut before: Option<&Expected> = None;
    for step in STEPS {
        let expected = &step.expected;
        assert_eq!(expected.differences(&ideal(expected), SUPERVISOR), [""; 0], "{}", step.title);
        let nothing = expected.differences(&Seen::default(), SUPERVISOR);
        assert!(!nothing.is_empty(), "{}", step.title);
        if let Some(before) = before.filter(|_| !matches!(step.action, Action::Watch { .. })) {
            assert!(!expected.differences(&ideal(before), SUPERVISOR).is_empty(), "{}", step.title);
        }
        if let Some(before) = before {
            let grows =
                |now: [usize; COUNT], then: [usize; COUNT]| now.iter().zip(then).all(|(n, t)| *n >= t);
            assert!(grows(expected.starts, before.starts) && grows(expected.fetches, before.fetches));
        }
        before = Some(expected);
    }
}

#[test]
fn each_difference_is_told() {
    let expected = Expected {
        current: Some(V2),
        previous: Some(V1),
        failed: Some(V3),
        downloading: None,
        alive: true,
        starts: [1, 2, 1, 0, 0],
        fetches: [1, 1, 1, 0, 0],
    };
    let changes: [(&str, Change); 15] = [
        ("entrypoint names v3, not v2", |seen| seen.current = Some(Named::Version(V3))),
        ("entrypoint names /bin/sh, not v2", |seen| seen.current = Some(Named::Other("/bin/sh".into()))),
        ("entrypoint-previous names nothing, not v1", |seen| seen.previous = None),
        ("entrypoint-attempt names v3, not nothing", |seen| seen.staged = Some(Named::Version(V3))),
        ("entrypoint-attempting names v3, not nothing", |seen| seen.trying = Some(Named::Version(V3))),
        ("update-attempt names nothing, not v3", |seen| seen.failed = None),
        ("half a download is there of v4, not of nothing", |seen| seen.downloading = vec![V4]),
        ("the supervisor, process 100, is gone", |seen| drop(seen.processes.remove(0))),
        ("0 processes of the application run, not 1", |seen| drop(seen.processes.pop())),
        ("2 processes of the application run, not 1", |seen| seen.processes.push(app(102, SUPERVISOR, V2))),
        ("process 102 is of v3, not v2", |seen| seen.processes.push(app(102, SUPERVISOR, V3))),
        ("process 101 is no child of the supervisor", |seen| seen.processes[1].parent = 1),
        ("v3 was started twice, not once", |seen| seen.starts[2] = 2),
        ("v5 was fetched once, not never", |seen| seen.fetches[4] = 1),
        ("the layer with the program was fetched twice, not once", |seen| seen.fetches_of_program = 2),
    ];
    for (difference, change) in changes {
        let mut seen = ideal(&expected);
        change(&mut seen);
        let found = expected.differences(&seen, SUPERVISOR);
        assert!(found.iter().any(|text| text == difference), "{difference}: {found:?}");
    }
    let dead = Expected { alive: false, ..expected };
    let left = dead.differences(&ideal(&expected), SUPERVISOR);
    assert_eq!(left, ["process 100 of the supervisor's binary is left", "process 101 of v2 is left"]);
}

/// A place on disk with trees whose program is a shell.
struct Planted {
    place: Place,
    release: Release,
    shell: Vec<u8>,
    _directory: tempfile::TempDir,
}

impl Planted {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::new(&directory.path().canonicalize().unwrap());
        let shell = fs::read("/bin/sh").unwrap();
        let planted = Self { release: Release::pack(&shell), place, shell, _directory: directory };
        for version in Version::ALL {
            let tree = planted.tree(version);
            fs::create_dir_all(&tree).unwrap();
            planted.plant_program(&tree.join("entrypoint"));
            fs::write(tree.join(".env"), version.dotenv()).unwrap();
        }
        planted.plant_program(&planted.place.loader());
        planted
    }

    fn tree(&self, version: Version) -> std::path::PathBuf {
        self.place.tree(&self.release.image(version).digest)
    }

    fn plant_program(&self, path: &Path) {
        use std::os::unix::fs::PermissionsExt as _;
        fs::write(path, &self.shell).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn link(&self, name: &str, version: Version) {
        let path = self.place.data().join("dockerloader").join(name);
        let _ = fs::remove_file(&path);
        symlink(self.tree(version).join("entrypoint"), path).unwrap();
    }

    fn look(&self, requests: &[Request]) -> Seen {
        self.place.look(&self.release, requests).unwrap()
    }

    /// A shell that, as a supervisor would, has a version's program as a child. Both end with the standard input.
    fn supervise(&self, version: Version) -> Child {
        let mut command = Command::new(self.place.loader());
        command.args(["-c", "\"$0\" -c 'read line'; :"]).arg(self.tree(version).join("entrypoint"));
        spawn(&mut command)
    }

    /// Looks until `reached`, since a process that was started takes a moment to become its program.
    fn until(&self, reached: impl Fn(&Seen) -> bool) -> Seen {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let seen = self.look(&[]);
            if reached(&seen) {
                return seen;
            }
            assert!(Instant::now() < deadline, "{seen:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn spawn(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).spawn().unwrap()
}

fn end(mut child: Child) {
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    child.wait().unwrap();
}

#[test]
fn links_files_and_stamps_are_read_from_the_directory() {
    let planted = Planted::new();
    assert_eq!(planted.look(&[]), Seen::default());
    planted.link("entrypoint", V2);
    planted.link("entrypoint-previous", V1);
    let root = planted.place.data().join("dockerloader");
    symlink("/bin/sh", root.join("entrypoint-attempt")).unwrap();
    fs::write(root.join("update-attempt"), &planted.release.image(V3).digest).unwrap();
    let blobs = root.join("storage/v1/blobs");
    fs::create_dir_all(&blobs).unwrap();
    let layer = &planted.release.own_layer(V4).digest;
    fs::write(blobs.join(format!("partial-{layer}")), b"half").unwrap();
    let start = |version: Version| format!("start 1000 7 {}/entrypoint\n", planted.tree(version).display());
    fs::write(planted.place.stamps(), [start(V1), start(V2), start(V3), start(V2), "start".into()].concat())
        .unwrap();
    let request = |method: &str, digest: &str| Request {
        method: method.into(),
        path: format!("/v2/demo/app/blobs/{digest}"),
        kind: Kind::Blob,
        range: None,
        authorization: None,
        status: 200,
    };
    let shared = &planted.release.shared_layer().digest;
    let requests = [request("GET", layer), request("HEAD", layer), request("GET", shared)];
    let expected = Seen {
        current: Some(Named::Version(V2)),
        previous: Some(Named::Version(V1)),
        staged: Some(Named::Other("/bin/sh".into())),
        failed: Some(Named::Version(V3)),
        downloading: vec![V4],
        starts: [1, 2, 1, 0, 0],
        fetches: [0, 0, 0, 1, 0],
        fetches_of_program: 1,
        ..Seen::default()
    };
    assert_eq!(planted.look(&requests), expected);
    assert_eq!(planted.place.bytes_of_blob(layer), 4);
}

#[test]
fn processes_are_told_by_their_executables_and_parents() {
    let planted = Planted::new();
    planted.link("entrypoint", V2);
    let expected = Expected {
        current: Some(V2),
        previous: None,
        failed: None,
        downloading: None,
        alive: true,
        starts: [0; COUNT],
        fetches: [0; COUNT],
    };
    let judge = |seen: &Seen, supervisor: u32| {
        expected.differences(&Seen { fetches_of_program: 1, ..seen.clone() }, supervisor)
    };
    let supervisor = planted.supervise(V2);
    let pid = supervisor.id();
    let seen = planted.until(|seen| judge(seen, pid).is_empty());
    assert_eq!(seen.processes.len(), 2);
    assert!(!judge(&seen, pid + 1).is_empty(), "another supervisor");

    let mut command = Command::new(planted.tree(V3).join("entrypoint"));
    let stranger = spawn(command.args(["-c", "read line"]));
    let seen = planted.until(|seen| seen.processes.len() == 3);
    let id = stranger.id();
    let mut differences = judge(&seen, pid);
    differences.sort();
    assert_eq!(
        differences,
        [
            "2 processes of the application run, not 1".to_owned(),
            format!("process {id} is no child of the supervisor"),
            format!("process {id} is of v3, not v2"),
        ]
    );
    end(stranger);
    end(supervisor);
    assert_eq!(planted.look(&[]).processes, []);
    assert_eq!(judge(&planted.look(&[]), pid).len(), 2, "neither a supervisor nor an application");
}

#[test]
fn a_changed_file_is_noticed() {
    let planted = Planted::new();
    let differences = || planted.place.content_differences(V5, &planted.release);
    assert_eq!(differences(), [""; 0]);
    fs::write(planted.tree(V5).join(".env"), V4.dotenv()).unwrap();
    assert_eq!(differences(), [".env of v5 is not what was packed"]);
    fs::remove_file(planted.tree(V5).join("entrypoint")).unwrap();
    assert_eq!(differences().len(), 2);
}

#[test]
fn the_time_without_service_is_read_from_the_stamps() {
    let stamp = |start, at, of| Stamp { start, at: Duration::from_millis(at), of: Named::Version(of) };
    let updated = [stamp(true, 10, V1), stamp(false, 500, V1), stamp(true, 512, V2)];
    assert_eq!(stamps::gap(&updated, V2), Some(Duration::from_millis(12)));
    assert_eq!(stamps::gap(&updated, V1), None, "it does not run");
    let failed = [stamp(true, 10, V2), stamp(true, 20, V3), stamp(true, 50, V2)];
    assert_eq!(stamps::gap(&failed, V2), Some(Duration::from_millis(30)));
    assert_eq!(stamps::gap(&failed[..1], V2), None);
    assert_eq!(stamps::last_start(&updated), Some(Duration::from_millis(512)));
    let parse = |line| Stamp::parse(line, |path| Named::Other(path.display().to_string()));
    let parsed = parse("exit 5000000 12 /a b/entrypoint").unwrap();
    assert_eq!(
        (parsed.start, parsed.at.as_millis(), parsed.of),
        (false, 5, Named::Other("/a b/entrypoint".into()))
    );
    for line in ["", "start", "start x 12 /a", "start 5 12", "other 5 12 /a"] {
        assert_eq!(parse(line), None, "{line}");
    }
}

#[test]
fn lines_are_broken_between_words() {
    for (text, lines) in [
        ("", &[][..]),
        ("one", &["one"]),
        ("one two three", &["one two", "three"]),
        ("incomprehensible one", &["incomprehensible", "one"]),
    ] {
        assert_eq!(wrap(text, 8), lines, "{text}");
    }
}
