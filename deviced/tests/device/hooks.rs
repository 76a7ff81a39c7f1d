//! Hooks: the old version says when it may go, the new one is told that it stays.

use crate::scene::{SERVE, Scene};
use crate::updates::{UPDATE, settled};

/// A device that runs a version with such hooks, and a next one that is there.
fn device(hooks: &str) -> (Scene, String, String) {
    let mut scene = Scene::new();
    let first = settled(&mut scene, "stable", "", &format!("{UPDATE}\n    hooks: {{{hooks}}}"));
    let second = scene.push("acme/web", "stable", &format!("echo two; {SERVE}"));
    (scene, first, second)
}

fn in_web(scene: &Scene, script: &str) -> String {
    let name = format!("{}web", scene.prefix);
    scene.docker(&["exec", &name, "/bin/sh", "-c", script])
}

#[test]
fn a_pre_hook_that_says_not_now_is_asked_again_and_may_say_yes() {
    let hook = "pre: [{command: [/bin/sh, -c, 'echo asked >> /tmp/asked; test -e /tmp/may || exit 75']}]";
    let (mut scene, first, second) = device(hook);
    let before = scene.inspect("web")["Id"].clone();
    scene.until("it was asked", |scene| in_web(scene, "cat /tmp/asked").contains("asked"));
    scene.until("status says that it waits", |scene| scene.container("web")["status"] == "waiting");
    assert_eq!(scene.inspect("web")["Id"], before);
    assert!(scene.runs("web", &first));
    in_web(&scene, ": > /tmp/may");
    // A deviced that starts asks at once.
    assert_eq!(scene.stop(), Some(0));
    scene.start();
    scene.until("the second version runs", |scene| scene.runs("web", &second));
    scene.settles("web", "stable");
}

#[test]
fn a_pre_hook_that_fails_or_takes_too_long_leaves_the_old_version() {
    for (hook, words) in [
        ("pre: [{command: [/bin/sh, -c, 'echo the queue is full; exit 9']}]", "9"),
        ("pre: [{command: [/bin/sh, -c, 'sleep 600'], timeout: 300ms}]", "0.3 s"),
        ("pre: [{command: [/no/such/program]}]", "/no/such/program"),
    ] {
        let (scene, first, _) = device(hook);
        let before = scene.inspect("web")["Id"].clone();
        scene.until(&format!("why says {words}"), |scene| {
            let why = scene.done(&["why", "$Pweb"]);
            why.contains("hook") && why.contains(words)
        });
        assert_eq!(scene.inspect("web")["Id"], before, "{hook}");
        assert!(scene.runs("web", &first), "{hook}");
    }
}

#[test]
fn a_post_hook_runs_in_the_new_version_when_it_has_proven_itself() {
    let (scene, _, second) = device("post: [{command: [/bin/sh, -c, 'echo told > /tmp/told']}]");
    scene.until("the second version runs", |scene| scene.runs("web", &second));
    scene.settles("web", "stable");
    assert_eq!(in_web(&scene, "cat /tmp/told"), "told");
}
