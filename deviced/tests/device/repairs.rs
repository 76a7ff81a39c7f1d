//! What somebody or something broke is noticed, named and mended, without a registry.

use crate::scene::{SERVE, Scene};
use crate::updates::{UPDATE, settled, web};

#[test]
fn what_is_gone_stopped_or_changed_is_as_before_without_a_registry() {
    let mut scene = Scene::new();
    scene.push("acme/web", "1", SERVE);
    let document = format!(
        "{}networks: {{$Pfront: {{}}}}\n",
        web("['1']", ", networks: [$Pfront], mem_limit: 64m", UPDATE)
    );
    scene.write(&document);
    scene.start();
    scene.settles("web", "1");
    scene.registry.go_away();
    let name = format!("{}web", scene.prefix);
    let network = format!("{}front", scene.prefix);

    let first = scene.ids("web");
    scene.docker(&["rm", "--force", &name]);
    scene.until("another one is there", |scene| scene.ids("web") != first && !scene.ids("web").is_empty());
    scene.settles("web", "1");

    scene.docker(&["stop", "--time", "0", &name]);
    scene.settles("web", "1");

    scene.docker(&["network", "disconnect", &network, &name]);
    scene.until("it is attached again", |scene| {
        !scene.inspect("web")["NetworkSettings"]["Networks"][&network].is_null()
    });
    scene.settles("web", "1");

    scene.docker(&["update", "--memory", "128m", "--memory-swap", "256m", &name]);
    scene.until("its limit is as it was", |scene| scene.inspect("web")["HostConfig"]["Memory"] == 64 << 20);
    scene.settles("web", "1");

    scene.docker(&["rename", &name, &format!("{name}-renamed")]);
    scene.until("its name is as it was", |scene| !scene.inspect("web").is_null());
    scene.settles("web", "1");
}

#[test]
fn a_lost_history_changes_nothing_that_runs() {
    let mut scene = Scene::new();
    settled(&mut scene, "1", "", UPDATE);
    let before = scene.ids("web");
    scene.kill();
    for entry in std::fs::read_dir(scene.path("")).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("history") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    scene.registry.go_away();
    scene.start();
    scene.settles("web", "1");
    assert_eq!(scene.ids("web"), before);
}

#[test]
fn who_shares_a_network_is_attached_again_when_its_owner_was_replaced() {
    let mut scene = Scene::new();
    scene.push("acme/web", "stable", SERVE);
    scene.push("acme/side", "1", SERVE);
    let side = format!(
        "  - id: $Pside\n    image: $R/acme/side\n    versions: ['1']\n    run: {{stop_grace_period: 1s, network_mode: 'service:$Pweb'}}\n    {UPDATE}\n"
    );
    scene.write(&format!("{}{side}", web("[stable]", "", UPDATE)));
    scene.start();
    scene.settles("web", "stable");
    scene.settles("side", "1");
    let mode = |scene: &Scene| {
        scene.inspect("side")["HostConfig"]["NetworkMode"].as_str().unwrap_or_default().to_owned()
    };
    let attached = |scene: &Scene| {
        mode(scene) == format!("container:{}", scene.inspect("web")["Id"].as_str().unwrap_or("none"))
    };
    assert!(attached(&scene), "{}", mode(&scene));
    let image = scene.inspect("side")["Image"].clone();
    // A newer image of the neighbour must not come in by a repair.
    let second = scene.push("acme/web", "stable", &format!("echo two; {SERVE}"));
    scene.until("the owner was replaced", |scene| scene.is_current("web", &second));
    scene.settles("web", "stable");
    scene.until("its neighbour is attached again", attached);
    scene.settles("side", "1");
    assert_eq!(scene.inspect("side")["Image"], image);
}

#[test]
fn a_long_pull_does_not_delay_starting_another_again() {
    let mut scene = Scene::new();
    scene.push("acme/web", "1", SERVE);
    scene.push("acme/side", "1", SERVE);
    let side = format!(
        "  - id: $Pside\n    image: $R/acme/side\n    versions: [new, '1']\n    run: {{stop_grace_period: 1s}}\n    {UPDATE}\n"
    );
    scene.write(&format!("{}{side}", web("['1']", "", UPDATE)));
    scene.start();
    scene.settles("web", "1");
    scene.settles("side", "1");
    scene.registry.throttle(10_000);
    scene.push("acme/side", "new", &format!("echo new # {}\n{SERVE}", "x".repeat(2 << 20)));
    scene.until("it is pulled", |scene| scene.container("side")["progress"].is_array());
    let name = format!("{}web", scene.prefix);
    scene.docker(&["kill", &name]);
    scene.settles("web", "1");
    assert!(scene.container("side")["progress"].is_array(), "the pull is still under way");
    scene.registry.throttle(0);
    scene.settles("side", "new");
}

#[test]
fn a_name_that_somebody_else_has_is_left_to_them() {
    let mut scene = Scene::new();
    scene.push("acme/web", "1", SERVE);
    scene.push("acme/foreign", "1", SERVE);
    let name = format!("{}web", scene.prefix);
    let foreign = scene.registry.reference("acme/foreign", "1");
    let theirs =
        scene.docker(&["run", "--detach", "--name", &name, "--label", &format!("foreign={name}"), &foreign]);
    struct Theirs(String);
    impl Drop for Theirs {
        fn drop(&mut self) {
            let _ = std::process::Command::new("docker").args(["rm", "--force", &self.0]).output();
        }
    }
    let theirs = Theirs(theirs);
    scene.write(&web("['1']", "", UPDATE));
    scene.start();
    scene.until("it runs under another name", |scene| scene.container("web")["status"] == "settled");
    assert_eq!(scene.inspect_named(&theirs.0)["State"]["Running"], true);
    assert_eq!(scene.ids("web").len(), 1);
}
