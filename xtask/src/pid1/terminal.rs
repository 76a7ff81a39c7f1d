//! Process 1 on a terminal, as with `docker run -it`: it leads the session, and the application has the foreground.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::pty::openpty;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use rustix::termios::{Winsize, tcsetwinsize};

use super::row::Row;
use super::scene::Scene;
use crate::contained::{Contained, children, state, wait_for};
use crate::failure::{Context as _, Result};

/// `DOCKERLOADER_STOP_GRACE_MS`.
const GRACE_MS: u64 = 1_500;

/// A terminal's master side, and what came out of it so far.
struct Terminal {
    master: File,
    shown: String,
}

impl Terminal {
    /// Starts process 1 of a scene as the leader of a session on a new terminal.
    fn start(loader: &Path, scene: &Scene) -> Result<(Self, Contained)> {
        let pty = openpty(None, None).context("make a terminal")?;
        let master = File::from(pty.master);
        // Who holds the master keeps the terminal from hanging up.
        for file in [
            fcntl(&master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)),
            fcntl(&pty.slave, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)),
            fcntl(&master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)),
        ] {
            file.context("set up the terminal")?;
        }
        let mut command = Command::new("unshare");
        command
            .args(["--fork", "--pid", "--mount-proc", "--kill-child", "--", "setsid", "--ctty"])
            .arg(loader);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").envs(scene.environment(GRACE_MS));
        let side = || pty.slave.try_clone().map(Stdio::from).context("share the terminal");
        command.stdin(side()?).stdout(side()?).stderr(side()?);
        let contained = Contained::of(command.spawn().context("start unshare(1)")?)?;
        Ok((Self { master, shown: String::new() }, contained))
    }

    fn type_in(&mut self, keys: &str) -> Result {
        self.master.write_all(keys.as_bytes()).context("type")
    }

    /// Waits until this was shown.
    fn shows(&mut self, what: &str) -> Result {
        wait_for(&format!("{what:?} on the terminal"), || {
            let mut buffer = [0; 4096];
            if let Ok(count) = self.master.read(&mut buffer) {
                self.shown.push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
            Ok(self.shown.contains(what).then_some(()))
        })
    }
}

/// The application of a scene, as soon as it has said that it is up.
fn application(scene: &Scene, contained: &Contained) -> Result<Pid> {
    scene.note("up")?;
    wait_for("the application", || Ok(children(contained.pid).first().copied()))
}

fn stands_still(pid: Pid) -> Result {
    wait_for("a standstill", || Ok((state(pid) == Some('T')).then_some(())))
}

/// Fields of `/proc/PID/stat` after the name: 2 is the group, 5 the foreground group of its terminal.
fn groups(pid: Pid) -> Option<(String, String)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    let fields: Vec<_> = fields.split_ascii_whitespace().collect();
    Some(((*fields.get(2)?).to_owned(), (*fields.get(5)?).to_owned()))
}

type Proof = fn(&Path) -> Result<String>;

/// Each with what it comes to when all is well.
const CASES: [(&str, Proof, &str); 8] = [
    ("the application has the foreground, and ^C is its own", foreground, "true 12"),
    ("^Z stops it, and CONT to process 1 wakes it", job_control, "T 14"),
    (
        "process 1 writes its log though the terminal stops background writers (TTOU)",
        log_of_the_background,
        "15",
    ),
    (
        "a job that reads in the background stands still (TTIN), and is gone by the stop",
        background_reader,
        "T 16 in time",
    ),
    (
        "a job that writes in the background stands still (TTOU), and is gone by the stop",
        background_writer,
        "T 16 in time",
    ),
    ("a new size of the terminal reaches it (WINCH), by the kernel and by process 1", new_size, "17"),
    ("a terminal that hangs up ends both (HUP)", hang_up, "13"),
    ("the version after an update has the foreground as well", after_an_update, "true 18"),
];

pub(super) fn all(loader: &Path, count: usize) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (what, prove, expected) in CASES {
        let mut wrong = Vec::new();
        for _ in 0..count {
            let found = prove(loader)
                .map_err(|failure| crate::failure::Failure::new(format!("{what}: {failure}")))?;
            if found != expected {
                wrong.push(format!("{found}, not {expected}"));
            }
        }
        rows.push(Row::found(what, format!("{count} times"), &wrong));
    }
    Ok(rows)
}

const WAIT: &str = "while :; do sleep 600 & wait $!; done";

fn has_foreground(app: Pid) -> bool {
    groups(app).is_some_and(|(group, foreground)| group == app.to_string() && foreground == group)
}

fn foreground(loader: &Path) -> Result<String> {
    // The shell takes ^C, at the latest when its sleep is over.
    let scene = Scene::new(
        loader,
        "trap 'exit 12' INT\nread line; echo read:$line\necho up > @notes/up\nwhile :; do sleep 0.05; done",
    )?;
    let (mut terminal, mut contained) = Terminal::start(loader, &scene)?;
    terminal.type_in("hello\n")?;
    terminal.shows("read:hello")?;
    let app = application(&scene, &contained)?;
    let has_it = has_foreground(app);
    terminal.type_in("\x03")?;
    Ok(format!("{has_it} {}", contained.ended()?))
}

fn job_control(loader: &Path) -> Result<String> {
    let scene = Scene::new(loader, &format!("trap 'exit 14' USR1\necho up > @notes/up\n{WAIT}"))?;
    let (mut terminal, mut contained) = Terminal::start(loader, &scene)?;
    let app = application(&scene, &contained)?;
    wait_for("the foreground", || Ok(has_foreground(app).then_some(())))?;
    terminal.type_in("\x1a")?;
    stands_still(app)?;
    let stood = state(app).unwrap_or('?');
    contained.signal(Signal::SIGCONT);
    wait_for("it to go on", || Ok((state(app) != Some('T')).then_some(())))?;
    contained.signal(Signal::SIGUSR1);
    Ok(format!("{stood} {}", contained.ended()?))
}

fn log_of_the_background(loader: &Path) -> Result<String> {
    let scene =
        Scene::new(loader, &format!("trap 'exit 15' TERM\nstty tostop\necho up > @notes/up\n{WAIT}"))?;
    let (mut terminal, mut contained) = Terminal::start(loader, &scene)?;
    application(&scene, &contained)?;
    contained.signal(Signal::SIGTERM);
    terminal.shows("told to stop")?;
    contained.ended().map(|code| code.to_string())
}

/// A job of a shell with job control is in a group of its own, which does not have the terminal.
fn background(loader: &Path, job: &str) -> Result<String> {
    let script = format!(
        "trap 'exit 16' TERM\nset -m\nstty tostop\n{job} &\necho $! > @notes/job\nset +m\necho up > @notes/up\n{WAIT}"
    );
    let scene = Scene::new(loader, &script)?;
    let (mut terminal, mut contained) = Terminal::start(loader, &scene)?;
    let app = application(&scene, &contained)?;
    let job = wait_for("the job", || {
        let jobs = children(app).into_iter();
        Ok(jobs.rev().find(|job| groups(*job).is_some_and(|(group, _)| group == job.to_string())))
    })?;
    stands_still(job)?;
    let began = Instant::now();
    contained.signal(Signal::SIGTERM);
    // What it writes at its end must not fill the terminal.
    let code = wait_for("the end", || {
        let mut buffer = [0; 4096];
        let _ = terminal.master.read(&mut buffer);
        contained.code()
    })?;
    let limit = Duration::from_millis(GRACE_MS) + Duration::from_secs(1);
    Ok(format!("T {code} {}", if began.elapsed() <= limit { "in time" } else { "too late" }))
}

fn background_reader(loader: &Path) -> Result<String> {
    background(loader, "cat < /dev/tty > /dev/null")
}

fn background_writer(loader: &Path) -> Result<String> {
    background(loader, "echo noise > /dev/tty")
}

fn new_size(loader: &Path) -> Result<String> {
    let script = format!(
        "n=0\ntrap 'n=$((n + 1)); echo size-$n; [ $n -lt 2 ] || exit 17' WINCH\necho up > @notes/up\n{WAIT}"
    );
    let scene = Scene::new(loader, &script)?;
    let (mut terminal, mut contained) = Terminal::start(loader, &scene)?;
    let app = application(&scene, &contained)?;
    wait_for("the foreground", || Ok(has_foreground(app).then_some(())))?;
    let size = Winsize { ws_row: 40, ws_col: 132, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal.master, size).context("change the terminal's size")?;
    terminal.shows("size-1")?;
    contained.signal(Signal::SIGWINCH);
    terminal.shows("size-2")?;
    contained.ended().map(|code| code.to_string())
}

fn hang_up(loader: &Path) -> Result<String> {
    let scene = Scene::new(loader, &format!("trap 'exit 13' HUP\necho up > @notes/up\n{WAIT}"))?;
    let (terminal, mut contained) = Terminal::start(loader, &scene)?;
    application(&scene, &contained)?;
    drop(terminal);
    contained.ended().map(|code| code.to_string())
}

fn after_an_update(loader: &Path) -> Result<String> {
    let scene = Scene::new(loader, "exit 3")?;
    let new = "trap 'exit 18' INT\n\"$DOCKERLOADER_BINARY\" ready > /dev/null\necho up > @notes/up\n\
               while :; do sleep 0.05; done";
    let digest = scene.ground.plant("new", &scene.script(new));
    let staging = format!(
        "ln -s {}/entrypoint @data/dockerloader/entrypoint-attempt\nexit 42",
        scene.ground.tree(&digest).display()
    );
    scene.ground.plant("current", &scene.script(&staging));
    let (mut terminal, mut contained) = Terminal::start(loader, &scene)?;
    let app = application(&scene, &contained)?;
    wait_for("the foreground", || Ok(has_foreground(app).then_some(())))?;
    let is_new = scene.ground.read_slot("entrypoint") == Some(digest);
    terminal.type_in("\x03")?;
    Ok(format!("{is_new} {}", contained.ended()?))
}
