//! Stopping: gone within the grace and a second, whatever the application does about it.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::row::Row;
use super::scene::Scene;
use crate::contained::{children, state, wait_for};
use crate::failure::{Failure, Result};
use crate::interrupt;

/// `DOCKERLOADER_STOP_GRACE_MS`.
const GRACE_MS: u64 = 150;
/// What may be added to it.
const MARGIN: Duration = Duration::from_secs(1);

/// How an application takes it.
struct Manner {
    name: &'static str,
    script: &'static str,
    /// With what process 1 ends.
    code: i32,
    /// Whether it stands still before it is told to stop.
    stands_still: bool,
}

const MANNERS: [Manner; 9] = [
    Manner {
        name: "ends at once",
        script: "trap 'exit 5' TERM\necho up > @notes/up\nwhile :; do sleep 600 & wait $!; done",
        code: 5,
        stands_still: false,
    },
    Manner {
        name: "ignores TERM",
        script: "trap '' TERM\necho up > @notes/up\nwhile :; do sleep 600; done",
        code: 137,
        stands_still: false,
    },
    Manner {
        name: "traps TERM and stays",
        script: "trap 'sleep 600' TERM\necho up > @notes/up\nwhile :; do sleep 600 & wait $!; done",
        code: 137,
        stands_still: false,
    },
    Manner {
        name: "forks while it is stopped",
        script: "trap 'while :; do (trap \"\" TERM; exec sleep 600) & sleep 0.005; done' TERM\necho up > @notes/up
while :; do sleep 600 & wait $!; done",
        code: 137,
        stands_still: false,
    },
    Manner {
        name: "forks in new sessions without end",
        script: "trap 'exit 6' TERM\n@notes/rabbit &\necho up > @notes/up\nwhile :; do sleep 600 & wait $!; done",
        code: 6,
        stands_still: false,
    },
    Manner {
        name: "leaves a daemon that ignores TERM",
        script: "trap 'exit 8' TERM\nsetsid sh -c 'trap \"\" TERM; echo up > @notes/up; while :; do sleep 600; done' &
while :; do sleep 600 & wait $!; done",
        code: 8,
        stands_still: false,
    },
    Manner {
        name: "stands still, and would end",
        script: "trap 'exit 9' TERM\necho up > @notes/up\nwhile :; do sleep 600 & wait $!; done",
        code: 9,
        stands_still: true,
    },
    Manner {
        name: "stands still, and ignores TERM",
        script: "trap '' TERM\necho up > @notes/up\nwhile :; do sleep 600; done",
        code: 137,
        stands_still: true,
    },
    Manner {
        name: "stops itself when told to stop",
        script: "trap 'kill -STOP $$' TERM\necho up > @notes/up\nwhile :; do sleep 600 & wait $!; done",
        code: 137,
        stands_still: false,
    },
];

/// A process that is never there when somebody looks: each lives for a moment, in a session of its own.
const RABBIT: &str = "trap '' TERM HUP\nsetsid \"$0\" &";

/// Stops so many applications of each manner in turn.
pub(super) fn stops(loader: &Path, count: usize) -> Result<Vec<Row>> {
    let mut slowest = [Duration::ZERO; MANNERS.len()];
    let mut stopped = [0_usize; MANNERS.len()];
    let mut wrong: Vec<Vec<String>> = vec![Vec::new(); MANNERS.len()];
    for number in 0..count {
        if interrupt::interrupted() {
            return Err(Failure::new("interrupted"));
        }
        let kind = number % MANNERS.len();
        let (code, took) = stop(loader, &MANNERS[kind])
            .map_err(|failure| Failure::new(format!("stop {number}, {}: {failure}", MANNERS[kind].name)))?;
        stopped[kind] += 1;
        slowest[kind] = slowest[kind].max(took);
        if code != MANNERS[kind].code {
            wrong[kind].push(format!("code {code}, not {}", MANNERS[kind].code));
        }
        if took > Duration::from_millis(GRACE_MS) + MARGIN {
            wrong[kind].push(format!("stop {number} took {took:.1?}"));
        }
    }
    let rows = MANNERS.iter().enumerate().map(|(kind, manner)| {
        let value = format!("{}, slowest {:.0?}", stopped[kind], slowest[kind]);
        Row::found(&format!("stops of one that {}", manner.name), value, &wrong[kind])
    });
    Ok(rows.collect())
}

fn stop(loader: &Path, manner: &Manner) -> Result<(i32, Duration)> {
    let scene = Scene::new(loader, manner.script)?;
    scene.helper("rabbit", RABBIT)?;
    let mut contained = scene.start(GRACE_MS)?;
    scene.note("up")?;
    if manner.stands_still {
        // The application alone: what it waits for may end and be started again until it stands still.
        let app = children(contained.pid).first().copied().unwrap_or(contained.pid);
        let _ = nix::sys::signal::kill(app, Signal::SIGSTOP);
        wait_for("a standstill", || Ok((state(app) == Some('T')).then_some(())))?;
    }
    let began = Instant::now();
    contained.signal(Signal::SIGTERM);
    let code =
        contained.ended().map_err(|failure| Failure::new(format!("{failure}\n{}", scene.log().last(20))))?;
    Ok((code, began.elapsed()))
}
