//! The commands of the real binary on real directories, with and without a (scripted) supervisor.
#![expect(clippy::disallowed_methods, reason = "a test plants directories and starts the program")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use dockerloader::control::{Reply, Request};
use dockerloader::digest::Digest;
use dockerloader::layout::{Layout, Slot};
use dockerloader::limits::Limits;
use dockerloader::remedy::Remedy;
use dockerloader::status::Status;
use dockerloader::tree::Extraction;

const OLD: Digest = Digest::from_bytes([0xaa; 32]);
const NEW: Digest = Digest::from_bytes([0xbb; 32]);

/// A data directory of its own.
struct Ground {
    directory: tempfile::TempDir,
    layout: Layout,
}

struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ground {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path());
        fs::create_dir_all(layout.extracted()).unwrap();
        Self { directory, layout }
    }

    /// A version whose entrypoint is this script, in a slot.
    fn version(&self, digest: Digest, slot: Slot, script: &str) -> PathBuf {
        let tree = self.layout.tree(&digest);
        fs::create_dir_all(&tree).unwrap();
        let program = tree.join("entrypoint");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        symlink(&program, self.layout.slot(slot)).unwrap();
        program
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
        command.env("DOCKERLOADER_DATA_DIR", self.directory.path());
        command
    }

    fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_dockerloader")), arguments);
        ended(command.envs(environment.iter().copied()))
    }

    /// The digest that a slot's link names.
    fn named(&self, slot: Slot) -> Option<Digest> {
        let target = fs::read_link(self.layout.slot(slot)).ok()?;
        self.layout.version_of(&target).map(|(digest, _)| digest)
    }

    /// A supervisor that answers these, and writes down its address as the real one does.
    fn supervisor(&self, replies: Vec<Reply>) -> JoinHandle<Vec<Request>> {
        let path = self.directory.path().join("control");
        let listener = UnixListener::bind(&path).unwrap();
        let address = serde_json::json!({ "pid": 1, "control": path });
        fs::write(self.layout.supervisor_address(), address.to_string()).unwrap();
        std::thread::spawn(move || {
            replies
                .iter()
                .map(|reply| {
                    let (mut stream, _) = listener.accept().unwrap();
                    let mut line = String::new();
                    BufReader::new(&stream).read_line(&mut line).unwrap();
                    writeln!(stream, "{}", serde_json::to_string(reply).unwrap()).unwrap();
                    serde_json::from_str(&line).unwrap()
                })
                .collect()
        })
    }
}

fn ended(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn status_without_a_supervisor_is_what_the_disk_says() {
    let ground = Ground::new();
    ground.version(OLD, Slot::Current, "");
    ground.version(NEW, Slot::Attempt, "");
    fs::write(ground.layout.update_attempt(), Digest::from_bytes([0xcc; 32]).to_string()).unwrap();
    let text = ground.run(&["status"], &[("DOCKERLOADER_TARGET", "nginx")]);
    assert_eq!(text.code, Some(0), "{}", text.stderr);
    for part in [
        "docker.io/library/nginx:latest",
        "none is alive",
        "current     aaaaaaaaaaaa",
        "tries bbbbbbbbbbbb",
        "cccccccccccc app",
    ] {
        assert!(text.stdout.contains(part), "{part}: {}", text.stdout);
    }
    assert!(!text.stdout.contains('\u{1b}'), "no colours in a pipe");
    let json = ground.run(&["status", "--json"], &[]);
    let status: Status = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(status.current.unwrap().digest, OLD);
    assert_eq!(status.staged.unwrap().digest, NEW);
    assert_eq!(status.supervisor, None);
}

#[test]
fn status_comes_from_the_supervisor_that_the_directory_names() {
    let ground = Ground::new();
    let answer = Status { target: Some("from the supervisor".into()), ..Status::default() };
    let supervisor = ground.supervisor(vec![Reply::Status(Box::new(answer))]);
    assert!(ground.run(&["status"], &[]).stdout.contains("from the supervisor"));
    assert_eq!(supervisor.join().unwrap(), [Request::Status]);

    // It is gone, its address is still there.
    let gone = ground.run(&["status"], &[]);
    assert_eq!(gone.code, Some(0), "{}", gone.stderr);
    assert!(gone.stdout.contains("the last supervisor was process 1"), "{}", gone.stdout);
}

#[test]
fn rollback_without_a_supervisor_moves_the_links_and_forget_undoes_the_verdict() {
    let ground = Ground::new();
    ground.version(OLD, Slot::Previous, "");
    ground.version(NEW, Slot::Current, "");
    let done = ground.run(&["rollback", "--json"], &[]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let reply: Reply = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(reply, Reply::RollingBack { from: NEW, to: OLD });
    assert_eq!(ground.named(Slot::Current), Some(OLD));
    let status = ground.run(&["status"], &[]);
    assert!(status.stdout.contains("bbbbbbbbbbbb operator"), "{}", status.stdout);

    let forgotten = ground.run(&["forget", "bbbb"], &[]);
    assert_eq!(forgotten.stdout, format!("{NEW} may be tried again\n"), "{}", forgotten.stderr);
    assert!(!ground.run(&["status"], &[]).stdout.contains("operator"));
    let again = ground.run(&["forget", "bbbb"], &[]);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("no version"), "{}", again.stderr);
}

#[test]
fn rollback_says_why_it_can_not() {
    let ground = Ground::new();
    ground.version(NEW, Slot::Current, "");
    let alone = ground.run(&["rollback"], &[]);
    assert_eq!(alone.code, Some(1));
    assert!(alone.stderr.contains("no previous version"), "{}", alone.stderr);
    assert_eq!(ground.named(Slot::Current), Some(NEW));

    // A supervisor in another container: it has the lock, and can't be asked.
    let lock = fs::File::create(ground.layout.supervisor_lock()).unwrap();
    lock.lock().unwrap();
    let held = ground.run(&["rollback"], &[]);
    assert_eq!(held.code, Some(75));
    assert!(held.stderr.contains("docker exec CONTAINER dockerloader rollback"), "{}", held.stderr);

    let nowhere = ground.run(&["rollback"], &[("DOCKERLOADER_DATA_DIR", "/nonexistent")]);
    assert_eq!(nowhere.code, Some(77), "{}", nowhere.stderr);
    assert!(nowhere.stderr.contains("/nonexistent/dockerloader does not exist"), "{}", nowhere.stderr);
}

#[test]
fn an_application_in_shell_asks_with_its_generation() {
    let ground = Ground::new();
    let supervisor = ground.supervisor(vec![
        Reply::Extended { milliseconds: 500 },
        Reply::Committed { digest: NEW },
        Reply::UpToDate { digest: NEW },
        Reply::CheckFailed { error: "no such host".into(), remedy: Remedy::Later },
        Reply::Skipped { digest: OLD, reason: "it crashed".into() },
        Reply::Staged { digest: OLD },
        Reply::Refused { reason: "there is no trial".into() },
    ]);
    let ask = |arguments: &[&str]| ground.run(arguments, &[("DOCKERLOADER_GENERATION", "g3")]);
    for (arguments, code, says) in [
        (&["extend", "500"][..], 0, "ends in 500 ms"),
        (&["ready"], 0, "trial successful"),
        (&["check"], 0, "already running the latest version"),
        (&["check"], 69, "no such host"),
        (&["check"], 0, "skipping update"),
        (&["check"], 42, "update available"),
        (&["ready"], 1, "there is no trial"),
    ] {
        let ended = ask(arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}{}", ended.stdout, ended.stderr);
        assert!(
            format!("{}{}", ended.stdout, ended.stderr).contains(says),
            "{arguments:?}: {}",
            ended.stdout
        );
    }
    let generation = Some("g3".to_owned());
    let asked = supervisor.join().unwrap();
    assert_eq!(asked[0], Request::Extend { generation: generation.clone(), milliseconds: 500 });
    assert_eq!(asked[1], Request::Ready { generation: generation.clone() });
    assert_eq!(asked[2], Request::Check { generation });
    let alone = ask(&["ready"]);
    assert_eq!(alone.code, Some(75));
    assert!(alone.stderr.contains("no supervisor"), "{}", alone.stderr);
}

#[test]
fn cli_becomes_the_current_version() {
    let ground = Ground::new();
    let script = "#!/bin/sh\necho \"$A $B $DOCKERLOADER_IMAGE_ROOT $PWD $*\"\nexit 7\n";
    ground.version(NEW, Slot::Current, script);
    let root = ground.layout.tree(&NEW);
    fs::create_dir(root.join("srv")).unwrap();
    let launch = serde_json::json!({
        "program": "entrypoint", "arguments": ["first"], "working_directory": "srv",
        "environment": [["A", "image"], ["B", "image"]],
    });
    fs::create_dir_all(ground.layout.launch(&NEW).parent().unwrap()).unwrap();
    fs::write(ground.layout.launch(&NEW), launch.to_string()).unwrap();
    let root = root.display();
    let as_command = ground.run(&["cli", "--help", "x y"], &[("A", "operator")]);
    assert_eq!(as_command.stdout, format!("operator image {root} {root}/srv first cli --help x y\n"));
    assert_eq!(as_command.code, Some(7), "{}", as_command.stderr);

    let link = ground.directory.path().join("cli");
    symlink(env!("CARGO_BIN_EXE_dockerloader"), &link).unwrap();
    let as_name = ended(&mut ground.command(&link, &["user"]));
    assert_eq!(
        as_name.stdout,
        format!("image image {root} {root}/srv first cli user\n"),
        "{}",
        as_name.stderr
    );
}

#[test]
fn cli_says_what_can_not_be_executed() {
    for (script, mode, code) in
        [("#!/nonexistent/interpreter\n", 0o755, 127), ("#!/bin/sh\n", 0o644, 126), ("text", 0o755, 126)]
    {
        let ground = Ground::new();
        let program = ground.version(NEW, Slot::Current, script);
        fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
        let ended = ground.run(&["cli"], &[]);
        assert_eq!(ended.code, Some(code), "{script:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("cannot execute entrypoint"), "{}", ended.stderr);
    }
}

#[test]
fn a_wrong_setting_is_named_before_anything_is_done() {
    let ground = Ground::new();
    let ended = ground.run(&["status"], &[("DOCKERLOADER_TRIAL_TIMEOUT_MS", "10s")]);
    assert_eq!(ended.code, Some(78));
    assert!(ended.stderr.contains("DOCKERLOADER_TRIAL_TIMEOUT_MS is \"10s\""), "{}", ended.stderr);
}

#[test]
fn help_completions_and_manual_pages_come_from_one_definition() {
    let ground = Ground::new();
    let help = ground.run(&["--help"], &[]);
    assert_eq!(help.code, Some(0));
    assert!(
        help.stdout.contains("rollback") && help.stdout.contains("DOCKERLOADER_TARGET"),
        "{}",
        help.stdout
    );
    assert_eq!(ground.run(&["statsu"], &[]).code, Some(2));
    assert!(ground.run(&["completions", "bash"], &[]).stdout.contains("rollback"));
    let pages = tempfile::tempdir().unwrap();
    assert_eq!(ground.run(&["man", pages.path().to_str().unwrap()], &[]).code, Some(0));
    assert!(fs::read_to_string(pages.path().join("dockerloader.1")).unwrap().contains("rollback"));
    assert!(pages.path().join("dockerloader-status.1").exists());
}

#[test]
fn verify_tells_what_was_changed_since_the_extraction() {
    let ground = Ground::new();
    assert!(ground.run(&["verify"], &[]).stdout.contains("no version"));
    ground.version(NEW, Slot::Current, "one");
    let unsealed = ground.run(&["verify"], &[]);
    assert_eq!(unsealed.code, Some(1), "{}", unsealed.stderr);
    assert!(unsealed.stdout.contains("seals/"), "{}", unsealed.stdout);

    let other = ground.layout.tree(&OLD);
    fs::create_dir_all(&other).unwrap();
    let archive = [0; 1024];
    let mut extraction = Extraction::new(&other, Limits::default(), |_: u64| {}).unwrap();
    extraction.apply(&archive[..], None).unwrap();
    let sealed = extraction.finish().unwrap();
    fs::create_dir_all(ground.layout.seals()).unwrap();
    fs::write(ground.layout.seal(&OLD), sealed.seal.as_bytes()).unwrap();
    let intact = ground.run(&["verify", "--full", "aaaa"], &[]);
    assert_eq!(
        (intact.code, &*intact.stdout),
        (Some(0), "aaaaaaaaaaaa: intact, 1 paths\n"),
        "{}",
        intact.stderr
    );
    fs::set_permissions(&other, fs::Permissions::from_mode(0o700)).unwrap();
    let changed = ground.run(&["verify", "aaaa", "--json"], &[]);
    assert_eq!(changed.code, Some(1));
    assert!(changed.stdout.contains("has another mode"), "{}", changed.stdout);
}
