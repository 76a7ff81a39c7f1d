//! deviced dies in the middle of a replacement, at each of its calls to the engine, and the next one brings it to its end: one container, the right
//! version, nothing left over.

use fixtures::engine_proxy::{Act, EngineProxy, engine_socket};

use crate::scene::{SERVE, Scene};
use crate::updates::{UPDATE, settled};

/// More calls than a replacement makes.
const CALLS: usize = 40;

/// A version, whose process 1 ends so.
struct Comes {
    script: &'static str,
    /// Whether it stays.
    is_good: bool,
}

/// Kills deviced at the first, second, ... call that changes something, until a replacement makes no more of them. `act` is what becomes of that call. Each
/// time the next deviced has to bring what was begun to its end.
fn kill_at_each_call(act: &Act, comes: &Comes) {
    let proxy = EngineProxy::before(&engine_socket());
    let mut scene = Scene::new().through(proxy.socket());
    let mut runs = settled(&mut scene, "stable", "", UPDATE);
    for nth in calls(act, comes) {
        proxy.nth(nth, EngineProxy::CHANGES, "*", act.clone());
        let before = proxy.count(EngineProxy::CHANGES, "*");
        let new = scene.push("acme/web", "stable", &format!("echo version {nth}; {}", comes.script));
        let is_over = |scene: &Scene| {
            let container = scene.container("web");
            let mut passed_over = container["passedOver"].as_array().into_iter().flatten();
            let is_judged = passed_over.any(|version| {
                let why = version["why"].as_str().unwrap_or_default();
                version["digest"] == new.as_str() && why.contains("it failed with these options")
            });
            let runs = container["current"]["digest"] == new.as_str();
            container["status"] == "settled" && if comes.is_good { runs } else { is_judged }
        };
        let has_come = || proxy.count(EngineProxy::CHANGES, "*") - before >= nth;
        scene
            .until("the call comes, or there is no such call any more", |scene| has_come() || is_over(scene));
        let was_killed = has_come();
        scene.kill();
        proxy.clear();
        scene.start();
        scene.until(&format!("call {nth} and what follows it is made by the next one"), is_over);
        if comes.is_good {
            runs = new;
        }
        scene.settles("web", "stable");
        let inspected = scene.inspect("web");
        assert_eq!(inspected["Config"]["Labels"]["deviced.digest"], runs.as_str(), "call {nth}");
        if !was_killed {
            assert!(nth > 5, "a replacement makes more than {nth} calls");
            return;
        }
    }
    panic!("a replacement makes {CALLS} calls or more");
}

/// All of them with `DEVICED_TEST_FULL=1`; else each fourth, another one in each test.
fn calls(act: &Act, comes: &Comes) -> impl Iterator<Item = usize> {
    let is_full = std::env::var("DEVICED_TEST_FULL").is_ok_and(|full| full == "1");
    let first = 1 + usize::from(comes.is_good) + if matches!(act, Act::Hang) { 2 } else { 0 };
    if is_full { (1..CALLS).step_by(1) } else { (first..CALLS).step_by(4) }
}

const GOOD: Comes = Comes { script: SERVE, is_good: true };
const BAD: Comes = Comes { script: "echo last words; exit 3", is_good: false };

#[test]
fn before_each_call_of_an_update() {
    kill_at_each_call(&Act::Hang, &GOOD);
}

#[test]
fn after_each_call_of_an_update() {
    kill_at_each_call(&Act::Swallow, &GOOD);
}

#[test]
fn before_each_call_of_a_rollback() {
    kill_at_each_call(&Act::Hang, &BAD);
}

#[test]
fn after_each_call_of_a_rollback() {
    kill_at_each_call(&Act::Swallow, &BAD);
}
