//! The supervisor on a terminal, as with `docker run -it`.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::pty::openpty;
use tests::process::{children, stat};
use tests::programs::{built, installed, text};
use tests::supervised::Stage;
use tests::wait::eventually;

/// A terminal, its master side, and what came out of it so far.
struct Terminal {
    master: File,
    shown: String,
}

/// A supervisor on a terminal. It is ended with the test, and its application with it.
struct Guarded(Child);

impl Guarded {
    fn code(&mut self) -> Option<i32> {
        eventually("the end", || self.0.try_wait().unwrap()).code()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Terminal {
    /// Starts the supervisor of a stage in a session of its own, with a terminal.
    fn start(stage: &Stage) -> Option<(Self, Guarded)> {
        // `setsid --ctty` makes its standard input the terminal of the new session, and becomes the program.
        let setsid = installed("setsid")?;
        let pty = openpty(None, None).unwrap();
        let master = File::from(pty.master);
        // Who holds the master keeps the terminal from hanging up.
        fcntl(&master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
        fcntl(&pty.slave, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
        fcntl(&master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        let mut command = Command::new(setsid);
        command.args(["--ctty", text(&built("dockerloader"))]);
        stage.surround(&mut command);
        let side = || Stdio::from(pty.slave.try_clone().unwrap());
        let child = command.stdin(side()).stdout(side()).stderr(side()).spawn().unwrap();
        Some((Self { master, shown: String::new() }, Guarded(child)))
    }

    fn type_in(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until this was shown.
    fn shows(&mut self, what: &str) {
        eventually(what, || {
            let mut buffer = [0; 4096];
            if let Ok(count) = self.master.read(&mut buffer) {
                self.shown.push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
            self.shown.contains(what).then_some(())
        });
    }
}

#[test]
fn the_application_has_the_terminal() {
    let stage = Stage::with_current(
        "tty > @notes/tty
        [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo all-three-are-terminals
        stty tostop
        echo $$ > @notes/pid
        read line && echo \"read:$line\"
        trap 'echo interrupted; exit 12' INT
        echo waiting
        while :; do sleep 600; done",
    );
    let Some((mut terminal, mut child)) = Terminal::start(&stage) else { return };
    let app = stage.noted_pid("pid");
    // Fields of proc(5): 5 group, 6 session, 7 terminal, 8 its foreground group; the first here is 3.
    let fields = stat(app);
    assert_eq!(
        (&fields[2], &fields[5]),
        (&app.to_string(), &app.to_string()),
        "in the foreground: {fields:?}"
    );
    let supervisor = i32::try_from(child.0.id()).unwrap();
    assert_eq!(children(supervisor), [app]);
    terminal.shows("all-three-are-terminals");
    assert!(stage.note("tty").starts_with("/dev/"), "{:?}", stage.noted("tty"));
    terminal.type_in("hello\n");
    terminal.shows("read:hello");
    terminal.shows("waiting");
    // ^C goes to the foreground group: to the application, and not to the supervisor.
    terminal.type_in("\x03");
    terminal.shows("interrupted");
    assert_eq!(child.code(), Some(12));
}

#[test]
fn a_terminal_that_hangs_up_ends_both() {
    let stage = Stage::with_current(
        "trap 'echo hung-up > @notes/hung-up; exit 13' HUP\necho $$ > @notes/pid\nwhile :; do sleep 600 & wait $!; done",
    );
    let Some((terminal, mut child)) = Terminal::start(&stage) else { return };
    stage.noted_pid("pid");
    drop(terminal);
    assert_eq!(child.code(), Some(13));
    assert_eq!(stage.note("hung-up"), "hung-up\n");
}
