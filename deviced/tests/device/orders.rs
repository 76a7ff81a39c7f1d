//! What comes first, what is left alone, and what is kept.

use crate::scene::{SERVE, Scene};
use crate::updates::{UPDATE, settled, web};

#[test]
fn a_container_starts_after_those_that_it_depends_on() {
    let mut scene = Scene::new();
    for name in ["web", "store", "queue"] {
        scene.push(&format!("acme/{name}"), "1", SERVE);
    }
    let other = |id: &str, run: &str| {
        format!(
            "  - id: $P{id}\n    image: $R/acme/{id}\n    versions: ['1']\n    run: {{stop_grace_period: 1s{run}}}\n    {UPDATE}\n"
        )
    };
    // The order of the document is the other way round.
    let document = [
        web("['1']", ", depends_on: [$Pqueue]", UPDATE),
        other("queue", ", depends_on: [$Pstore]"),
        other("store", ""),
    ];
    scene.write(&document.concat());
    scene.start();
    let started =
        |scene: &Scene, id: &str| scene.inspect(id)["State"]["StartedAt"].as_str().unwrap().to_owned();
    let is_in_order = |scene: &Scene| {
        for id in ["store", "queue", "web"] {
            scene.settles(id, "1");
        }
        let times = ["store", "queue", "web"].map(|id| started(scene, id));
        assert!(times.is_sorted(), "{times:?}");
    };
    is_in_order(&scene);
    assert_eq!(scene.stop(), Some(0));
    for id in ["web", "queue", "store"] {
        let name = format!("{}{id}", scene.prefix);
        scene.docker(&["rm", "--force", &name]);
    }
    scene.start();
    is_in_order(&scene);
}

#[test]
fn a_protected_container_is_neither_stopped_nor_restarted_by_hand() {
    let mut scene = Scene::new();
    settled(&mut scene, "1", "", &format!("{UPDATE}\n    protected: true"));
    let before = scene.inspect("web")["State"]["StartedAt"].clone();
    for verb in ["stop", "restart"] {
        let output = scene.cli(&[verb, "$Pweb"]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains("protected"), "{verb}: {error}");
    }
    let after = scene.inspect("web")["State"].clone();
    assert_eq!((&after["Running"], &after["StartedAt"]), (&true.into(), &before));
}

#[test]
fn a_stop_of_deviced_in_a_proof_is_no_failure_of_the_version() {
    let mut scene = Scene::new();
    scene.push("acme/web", "stable", &format!("touch /tmp/ok; {SERVE}"));
    let check =
        ", healthcheck: {test: [CMD, /bin/sh, -c, 'test -e /tmp/ok'], interval: 200ms, retries: 1000}";
    scene.write(&web("[stable]", check, &UPDATE.replace("timeout: 20s", "timeout: 60s")));
    scene.start();
    scene.settles("web", "stable");
    // It is not healthy until somebody says so.
    let second = scene.push("acme/web", "stable", SERVE);
    let is_second = |scene: &Scene| scene.runs("web", &second);
    scene.until("the second version is proven", is_second);
    for _ in 0..3 {
        assert_eq!(scene.stop(), Some(0));
        scene.start();
        scene.until("it still is", is_second);
    }
    let name = format!("{}web", scene.prefix);
    scene.docker(&["exec", &name, "/bin/sh", "-c", ": > /tmp/ok"]);
    scene.settles("web", "stable");
    assert!(is_second(&scene));
    assert!(!scene.done(&["history", "$Pweb", "--json"]).contains("\"reason\""));
}

#[test]
fn last_words_that_are_no_text_are_kept_and_shown() {
    let mut scene = Scene::new();
    settled(&mut scene, "stable", "", UPDATE);
    let noise = r"printf 'before\377\376\000\033[31m\007after\n'; echo last words; exit 3";
    scene.push("acme/web", "stable", noise);
    scene.until("it was judged", |scene| scene.done(&["why", "$Pweb"]).contains("last words"));
    let why = scene.done(&["why", "$Pweb"]);
    assert!(why.contains("before") && why.contains("after"), "{why}");
    assert!(!why.contains(['\u{1b}', '\u{7}', '\0']), "control characters reach the terminal: {why:?}");
    scene.done(&["history", "$Pweb"]);
    scene.done(&["logs", "$Pweb"]);
    scene.settles("web", "stable");
}

#[test]
fn old_images_go_but_for_those_that_are_kept() {
    let mut scene = Scene::new();
    let mut digests = vec![scene.push("acme/web", "stable", SERVE)];
    scene.write(&web("[stable]", "", UPDATE));
    scene.start();
    scene.settles("web", "stable");
    for number in 2..=4 {
        let new = scene.push("acme/web", "stable", &format!("echo {number}; {SERVE}"));
        scene.until("it runs", |scene| scene.is_current("web", &new));
        scene.settles("web", "stable");
        digests.push(new);
    }
    let there = |scene: &Scene| {
        let repository = format!("{}/acme/web", scene.registry.host());
        let list =
            scene.docker(&["images", "--no-trunc", "--digests", "--format", "{{.Digest}}", &repository]);
        digests.iter().map(|digest| list.contains(digest)).collect::<Vec<_>>()
    };
    // `keep: 2`: besides the one that runs.
    scene.until("the first one is gone", |scene| there(scene) == [false, true, true, true]);
    scene.registry.go_away();
    scene.done(&["rollback", "$Pweb"]);
    scene.until("what was kept runs", |scene| scene.is_current("web", &digests[2]));
    scene.settles("web", "stable");
    assert_eq!(there(&scene), [false, true, true, true], "a version that is pinned, and those that are kept");
}

#[test]
fn what_cannot_run_on_is_made_again() {
    let mut scene = Scene::new();
    settled(&mut scene, "1", "", UPDATE);
    scene.registry.go_away();
    let name = format!("{}web", scene.prefix);
    scene.docker(&["pause", &name]);
    scene.until("it is not paused", |scene| scene.inspect("web")["State"]["Paused"] == false);
    scene.settles("web", "1");
    scene.docker(&["kill", "--signal", "KILL", &name]);
    scene.settles("web", "1");
    assert_eq!(scene.stop(), Some(0));
    // Somebody made one by the same name, labels and image, and never started it.
    let inspected = scene.inspect("web");
    let image = inspected["Image"].as_str().unwrap();
    let labels: Vec<_> = inspected["Config"]["Labels"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| format!("--label={name}={}", value.as_str().unwrap()))
        .collect();
    scene.docker(&["rm", "--force", &name]);
    let mut create = vec!["create", "--name", &name];
    create.extend(labels.iter().map(String::as_str));
    create.push(image);
    scene.docker(&create);
    assert_eq!(scene.inspect("web")["State"]["Status"], "created");
    scene.start();
    scene.settles("web", "1");
}
