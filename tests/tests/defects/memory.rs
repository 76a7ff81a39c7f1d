//! No memory is left.

use tests::group::Group;
use tests::process::is_alive;
use tests::programs::built;
use tests::supervised::Stage;

use crate::scene::Scene;

/// What all have together, in bytes.
const ALLOWED: u64 = 96 << 20;
/// Nearly all of it, held by the application: `tail` keeps what may be the last line.
const HUNGRY: &str = "trap 'exit 4' TERM
echo $$ > @notes/app
( head -c 70000000 /dev/zero; sleep 600 ) | tail -n 1 &
echo $! > @notes/holder
while :; do sleep 600 & wait $!; done";

#[test]
fn the_puller_is_what_the_kernel_kills_for_memory_and_the_application_is_not() {
    let Some(group) = Group::new(ALLOWED) else { return };
    let mut scene = Scene::new();
    scene.stage = Stage::with_current(HUNGRY);
    let mut command = group.command(&built("dockerloader"));
    scene.stage.surround(&mut command);
    command.envs(scene.environment(&[]));
    let mut running = scene.stage.start(command);
    let (app, holder) = (scene.stage.noted_pid("app"), scene.stage.noted_pid("holder"));
    let gate = scene.gate();
    let check = scene.begin_check();
    gate.wait_reached();
    let puller = scene.puller(&running, app);
    let score = std::fs::read_to_string(format!("/proc/{puller}/oom_score_adj")).unwrap();
    assert_eq!(score.trim(), "1000", "it is to be killed first");
    // From now on there is not enough for anybody who wants more.
    group.allow(group.used());
    gate.release();
    let (code, answer) = Scene::answer(&check.wait_with_output().unwrap());
    group.allow(ALLOWED);
    assert_eq!(code, Some(69), "{answer}");
    assert!(is_alive(app) && is_alive(holder), "{}", running.stderr());
    scene.assert_survived(&mut running, app, "killed by SIGKILL without a result");
}
