//! The Docker daemon is killed and comes back, at each of deviced's calls of a replacement: what was begun is brought to its end.

use std::time::Duration;

use fixtures::dockerd::Dockerd;
use fixtures::engine_proxy::{Act, EngineProxy};

use crate::scene::{SERVE, Scene};
use crate::updates::{UPDATE, settled};

/// More calls than a replacement makes.
const CALLS: usize = 40;

/// All of them with `DEVICED_TEST_FULL=1`; else each fifth.
fn calls() -> impl Iterator<Item = usize> {
    let is_full = std::env::var("DEVICED_TEST_FULL").is_ok_and(|full| full == "1");
    (1..CALLS).step_by(if is_full { 1 } else { 5 })
}

#[test]
fn an_engine_that_dies_in_a_replacement_does_not_leave_it_halfway() {
    let directory = tempfile::tempdir().unwrap();
    let mut dockerd = Dockerd::start(directory.path()).unwrap();
    let proxy = EngineProxy::before(&dockerd.socket());
    let mut scene = Scene::new().on(&dockerd.socket()).through(proxy.socket());
    // deviced comes up before the engine does.
    settled(&mut scene, "stable", ", restart: unless-stopped", UPDATE);
    for nth in calls() {
        // The engine dies before it sees the call, or with the answer under way.
        let is_seen = nth % 2 == 0;
        let act = if is_seen { Act::CutAfter(0) } else { Act::Delay(Duration::from_secs(1)) };
        proxy.nth(nth, EngineProxy::CHANGES, "*", act);
        let before = proxy.count(EngineProxy::CHANGES, "*");
        let new = scene.push("acme/web", "stable", &format!("echo version {nth}; {SERVE}"));
        let has_come = || proxy.count(EngineProxy::CHANGES, "*") - before >= nth;
        let is_over = |scene: &Scene| {
            let container = scene.container("web");
            container["status"] == "settled" && container["current"]["digest"] == new.as_str()
        };
        scene
            .until("the call comes, or there is no such call any more", |scene| has_come() || is_over(scene));
        let was_killed = has_come();
        dockerd.kill_and_restart().unwrap();
        proxy.clear();
        scene.until(&format!("call {nth} and what follows it is made after all"), is_over);
        scene.settles("web", "stable");
        if !was_killed {
            assert!(nth > 5, "a replacement makes more than {nth} calls");
            return;
        }
    }
    panic!("a replacement makes {CALLS} calls or more");
}
