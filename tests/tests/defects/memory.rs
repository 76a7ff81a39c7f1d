//! No memory is left.

use fixtures::image::{Compression, Layer};
use tests::group::Group;
use tests::process::{is_alive, signal, status_field};
use tests::programs::built;
use tests::supervised::Stage;
use tests::wait::eventually;

use crate::scene::Scene;

/// What all have together, in bytes: less than the application holds and the puller needs.
const ALLOWED: u64 = 96 << 20;
/// Of zstd: 32 MiB, which the puller has to keep.
const WINDOW: u32 = 25;
/// More than fits the window, so that all of it is used.
const LARGE: usize = 40 << 20;
/// What the application holds, in kB.
const HELD: u64 = 68_000;
/// Holds as much: `tail` keeps what may be the last line.
const HUNGRY: &str = "trap 'exit 4' TERM
echo $$ > @notes/app
( head -c 70000000 /dev/zero; sleep 600 ) | tail -n 1 &
echo $! > @notes/holder
while :; do sleep 600 & wait $!; done";

#[test]
fn the_puller_is_what_the_kernel_kills_for_memory_and_the_application_is_not() {
    let Some(group) = Group::new(ALLOWED) else { return };
    let layer = Layer::new().compression(Compression::ZstdWindow(WINDOW));
    let mut scene = Scene::with(layer.file("large", 0o644, &vec![0; LARGE]));
    scene.stage = Stage::with_current(HUNGRY);
    let mut command = group.command(&built("dockerloader"));
    scene.stage.surround(&mut command);
    command.envs(scene.environment(&[]));
    let mut running = scene.stage.start(command);
    let (app, holder) = (scene.stage.noted_pid("app"), scene.stage.noted_pid("holder"));
    // Until it has all of it, it wants more itself.
    eventually("all that the application holds", || (resident(holder) >= HELD).then_some(()));
    let gate = scene.gate();
    let check = scene.begin_check();
    gate.wait_reached();
    let puller = scene.puller(&running, app);
    let score = std::fs::read_to_string(format!("/proc/{puller}/oom_score_adj")).unwrap();
    assert_eq!(score.trim(), "1000", "it is to be killed first");
    gate.release();
    let (code, answer) = Scene::answer(&check.wait_with_output().unwrap());
    assert_eq!(code, Some(69), "{answer}");
    assert!(is_alive(app) && is_alive(holder), "{}", running.stderr());
    // The application has done with it: there is room for the next look.
    signal(holder, 9);
    eventually("the end of what holds it", || (!is_alive(holder)).then_some(()));
    scene.assert_survived(&mut running, app, "killed by SIGKILL without a result");
}

/// What a process has in memory, in kB.
fn resident(pid: i32) -> u64 {
    let field = status_field(pid, "VmRSS");
    field.and_then(|text| text.split_ascii_whitespace().next()?.parse().ok()).unwrap_or_default()
}
