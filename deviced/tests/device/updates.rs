//! A version comes, is good or bad, and the device does what it is for.

use serde_json::Value;

use crate::scene::{SERVE, Scene};

/// Quick looks and proofs, and no probation.
pub(crate) const UPDATE: &str =
    "update: {interval: 1s, probation: 0s, keep: 2, health: {running: 300ms, timeout: 20s, interval: 100ms}}";

/// A document with one container `web` of `acme/web`.
pub(crate) fn web(versions: &str, run: &str, update: &str) -> String {
    format!(
        "apiVersion: deviced/v1\ncontainers:\n  - id: $Pweb\n    image: $R/acme/web\n    versions: {versions}\n    run: {{stop_grace_period: 1s{run}}}\n    {update}\n"
    )
}

/// Starts deviced with `web` as its only container and a version of it in the registry, and waits until that runs and nothing is done about it any more. The
/// version's digest.
pub(crate) fn settled(scene: &mut Scene, tag: &str, run: &str, update: &str) -> String {
    let digest = scene.push("acme/web", tag, SERVE);
    scene.write(&web(&format!("['{tag}']"), run, update));
    scene.start();
    scene.settles("web", tag);
    digest
}

fn digest(inspected: &Value) -> &str {
    inspected["Config"]["Labels"]["deviced.digest"].as_str().unwrap()
}

#[test]
fn a_moved_tag_is_followed_and_a_bad_version_is_rolled_back() {
    let mut scene = Scene::new();
    let first = settled(&mut scene, "stable", "", UPDATE);
    assert_eq!(digest(&scene.inspect("web")), first);

    let second = scene.push("acme/web", "stable", &format!("echo two; {SERVE}"));
    scene.until("the second version runs", |scene| scene.is_current("web", &second));
    scene.settles("web", "stable");

    let third = scene.push("acme/web", "stable", "echo last words; exit 3");
    scene.until("the third version is judged", |scene| scene.done(&["why", "$Pweb"]).contains("last words"));
    scene.settles("web", "stable");
    assert_eq!(digest(&scene.inspect("web")), second, "{third} was rolled back");

    // It is never tried again, and a fix is.
    let tries = |scene: &Scene| scene.done(&["history", "$Pweb", "--json"]).matches(&third).count();
    let before = tries(&scene);
    let fourth = scene.push("acme/web", "stable", &format!("echo four; {SERVE}"));
    scene.until("the fix runs", |scene| scene.is_current("web", &fourth));
    scene.settles("web", "stable");
    assert_eq!(tries(&scene), before);
}

#[test]
fn the_next_acceptable_version_is_taken_when_the_best_is_bad() {
    let mut scene = Scene::new();
    scene.push("acme/web", "2.1.0", "exit 1");
    scene.push("acme/web", "2.0.0", "echo no; exit 1");
    let good = scene.push("acme/web", "1.9.0", SERVE);
    scene.write(&web("['^2', '1.9.0']", "", UPDATE));
    scene.start();
    scene.settles("web", "1.9.0");
    assert_eq!(digest(&scene.inspect("web")), good);
    let passed_over = scene.container("web")["passedOver"].to_string();
    assert!(passed_over.contains("2.1.0") && passed_over.contains("2.0.0"), "{passed_over}");
    scene.push("acme/web", "2.2.0", &format!("echo good; {SERVE}"));
    scene.settles("web", "2.2.0");
}

#[test]
fn a_tag_that_was_set_is_kept_over_restarts_and_falls_back_when_it_is_not_there() {
    let mut scene = Scene::new();
    scene.push("acme/web", "1", SERVE);
    scene.push("acme/web", "2", &format!("echo two; {SERVE}"));
    scene.write(&web("['1']", "", UPDATE));
    scene.start();
    scene.settles("web", "1");
    scene.done(&["tag", "$Pweb", "2"]);
    scene.settles("web", "2");
    assert_eq!(scene.stop(), Some(0));
    let before = scene.ids("web");
    scene.start();
    scene.settles("web", "2");
    assert_eq!(scene.ids("web"), before, "a restart of deviced replaces nothing");
    scene.done(&["tag", "$Pweb", "missing"]);
    scene.until("why says so", |scene| scene.done(&["why", "$Pweb"]).contains("missing"));
    assert_eq!(scene.inspect("web")["State"]["Running"], true);
    scene.done(&["tag", "$Pweb", "--document"]);
    scene.settles("web", "1");
}

#[test]
fn a_rollback_by_hand_needs_no_registry_and_stays_until_it_is_released() {
    let mut scene = Scene::new();
    let first = settled(&mut scene, "stable", "", UPDATE);
    let second = scene.push("acme/web", "stable", &format!("echo two; {SERVE}"));
    scene.until("the second version runs", |scene| scene.is_current("web", &second));
    scene.settles("web", "stable");
    scene.registry.go_away();
    scene.done(&["rollback", "$Pweb"]);
    scene.until("the first version runs", |scene| scene.is_current("web", &first));
    scene.settles("web", "stable");
    scene.registry.come_back();
    scene.done(&["update", "$Pweb"]);
    scene.settles("web", "stable");
    assert_eq!(digest(&scene.inspect("web")), first, "a poll must not redo what somebody undid");
    scene.done(&["release", "$Pweb"]);
    scene.until("the second version is back", |scene| scene.is_current("web", &second));
    scene.settles("web", "stable");
}

#[test]
fn bad_arguments_are_not_blamed_on_the_image() {
    let mut scene = Scene::new();
    let digest_of_it = settled(&mut scene, "1", "", UPDATE);
    scene.write(&web("['1']", ", entrypoint: [/bin/sh, -c, 'echo wrong; exit 2']", UPDATE));
    scene.until("the options are judged", |scene| {
        let container = scene.container("web");
        container["status"] == "settled" && container["passedOver"].to_string().contains("wrong")
            || scene.done(&["why", "$Pweb"]).contains("wrong")
    });
    scene.until("what worked is back", |scene| scene.inspect("web")["State"]["Running"] == true);
    scene.write(&web("['1']", ", environment: {LEVEL: debug}", UPDATE));
    scene.settles("web", "1");
    let inspected = scene.inspect("web");
    assert!(inspected["Config"]["Env"].to_string().contains("LEVEL=debug"), "{inspected}");
    assert_eq!(digest(&inspected), digest_of_it);
}

#[test]
fn a_version_that_crashes_in_its_probation_is_rolled_back() {
    let mut scene = Scene::new();
    let first = scene.push("acme/web", "stable", SERVE);
    let update =
        "update: {interval: 1s, probation: 10m, health: {running: 300ms, timeout: 20s, interval: 100ms}}";
    scene.write(&web("[stable]", ", restart: always", update));
    scene.start();
    scene.settles("web", "stable");
    scene.push("acme/web", "stable", "echo crashing soon; sleep 1.5; exit 4");
    scene.until("it was judged", |scene| scene.done(&["why", "$Pweb"]).contains("probation"));
    scene.until("the first version is back", |scene| scene.is_current("web", &first));
    scene.settles("web", "stable");
}

#[test]
fn an_unhealthy_version_never_replaces_a_healthy_one() {
    let mut scene = Scene::new();
    let first = scene.push("acme/web", "stable", &format!("touch /tmp/ok; {SERVE}"));
    let check = ", healthcheck: {test: [CMD, /bin/sh, -c, 'test -e /tmp/ok'], interval: 200ms, retries: 2}";
    scene.write(&web("[stable]", check, UPDATE));
    scene.start();
    scene.settles("web", "stable");
    scene.push("acme/web", "stable", SERVE);
    scene.until("it was judged", |scene| scene.done(&["why", "$Pweb"]).contains("unhealthy"));
    scene.settles("web", "stable");
    assert_eq!(digest(&scene.inspect("web")), first);
}
