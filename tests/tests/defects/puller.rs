//! What becomes of the puller.

use fixtures::registry::{Fault, Gate, Kind, Rule};
use tests::preload::Preload;
use tests::process::{signal, state};
use tests::wait::eventually;

use crate::scene::Scene;

#[test]
fn a_puller_that_is_killed_or_aborts_costs_an_update_and_nothing_else() {
    for (number, why) in [
        (6, "the pull killed by SIGABRT without a result: a defect of dockerloader"),
        (4, "the pull killed by SIGILL without a result: a defect of dockerloader"),
        (9, "the pull killed by SIGKILL without a result: somebody killed it"),
    ] {
        let scene = Scene::new();
        let mut running = scene.stage.supervise(&scene.environment(&[]));
        let app = scene.stage.noted_pid("app");
        let gate = scene.gate();
        let check = scene.begin_check();
        gate.wait_reached();
        signal(scene.puller(&running, app), number);
        let (code, answer) = Scene::answer(&check.wait_with_output().unwrap());
        assert_eq!(code, Some(69), "{answer}");
        assert!(answer["error"].to_string().contains(why), "{answer}");
        gate.release();
        scene.assert_survived(&mut running, app, why);
        assert_eq!(running.stop(15), 4);
    }
}

#[test]
fn a_puller_that_panics_says_where_and_costs_an_update() {
    let Some(preload) = Preload::new() else { return };
    let scene = Scene::new();
    let environment = preload.environment();
    let mut running = scene.stage.supervise(&scene.environment(&environment));
    let app = scene.stage.noted_pid("app");
    preload.say("who=pull monotonic=fail");
    let (code, answer) = scene.check();
    assert_eq!(code, Some(69), "{answer}");
    let panic = running.event("internal", 1)["message"].to_string();
    assert!(panic.contains("a defect of dockerloader at ") && panic.contains("unwrap()"), "{panic}");
    preload.say("");
    scene.assert_survived(&mut running, app, "the pull exited with 70 without a result: a defect");
    assert_eq!(running.stop(15), 4);
}

#[test]
fn a_puller_that_floods_its_output_is_ended() {
    let Some(preload) = Preload::new() else { return };
    let scene = Scene::new();
    let environment = preload.environment();
    let mut running = scene.stage.supervise(&scene.environment(&environment));
    let app = scene.stage.noted_pid("app");
    preload.say("who=pull flood=1");
    let (code, answer) = scene.check();
    assert_eq!(code, Some(69), "{answer}");
    preload.say("");
    scene.assert_survived(&mut running, app, "the pull wrote more than 64 MB, and was ended");
    assert_eq!(running.stop(15), 4);
}

/// The pipe is the only thing that it is heard by; its end is what it is known by.
#[test]
fn a_puller_that_closes_its_output_is_waited_for_and_reported() {
    let Some(preload) = Preload::new() else { return };
    let scene = Scene::new();
    let environment = preload.environment();
    let mut running = scene.stage.supervise(&scene.environment(&environment));
    let app = scene.stage.noted_pid("app");
    preload.say("who=pull close=1");
    let check = scene.begin_check();
    let puller = scene.puller(&running, app);
    eventually("a closed output", || {
        (!std::fs::exists(format!("/proc/{puller}/fd/1")).unwrap_or(true)).then_some(())
    });
    assert_eq!(scene.stage.status()["supervisor"]["pulling"], true);
    preload.say("");
    signal(puller, 15);
    let (code, answer) = Scene::answer(&check.wait_with_output().unwrap());
    assert_eq!(code, Some(69), "{answer}");
    scene.assert_survived(&mut running, app, "the pull killed by SIGTERM without a result");
    assert_eq!(running.stop(15), 4);
}

#[test]
fn a_puller_that_stands_still_holds_up_neither_questions_nor_the_stop() {
    let scene = Scene::new();
    let mut running = scene.stage.supervise(&scene.environment(&[]));
    let app = scene.stage.noted_pid("app");
    let gate = scene.gate();
    let check = scene.begin_check();
    gate.wait_reached();
    let puller = scene.puller(&running, app);
    signal(puller, 19);
    eventually("it stands still", || (state(puller) == Some('T')).then_some(()));
    gate.release();
    assert_eq!(scene.stage.status()["supervisor"]["pulling"], true);
    // It goes on where it was.
    signal(puller, 18);
    let (code, answer) = Scene::answer(&check.wait_with_output().unwrap());
    assert_eq!(code, Some(42), "{answer}");
    // The next one stands still for good.
    let gate = Gate::new();
    let rule = Rule::on(Kind::Manifest).any_method().times(1);
    scene.registry.fault(rule, Fault::HoldHeaders { gate: gate.clone() });
    let mut check = scene.begin_check();
    gate.wait_reached();
    let puller = scene.puller(&running, app);
    signal(puller, 19);
    eventually("it stands still", || (state(puller) == Some('T')).then_some(()));
    assert_eq!(running.stop(15), 4);
    check.wait().unwrap();
    eventually("its end", || state(puller).is_none().then_some(()));
}
