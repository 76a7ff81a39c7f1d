//! Registries that are away, refuse, lack what is wanted or are too eager: what runs goes on running, it is said why, and what is new comes when it can.

use fixtures::registry::{Fault, Kind, Registry, Rule};

use crate::scene::{SERVE, Scene};
use crate::updates::{UPDATE, settled, web};

fn device() -> (Scene, String) {
    let mut scene = Scene::new();
    let first = settled(&mut scene, "stable", "", UPDATE);
    (scene, first)
}

/// Every request for a manifest is answered so.
fn answer(scene: &Scene, fault: &Fault) {
    scene.registry.fault(Rule::on(Kind::Manifest).any_method(), fault.clone());
}

#[test]
fn what_is_on_the_disk_starts_without_a_registry_and_follows_it_when_it_is_back() {
    let (mut scene, first) = device();
    assert_eq!(scene.stop(), Some(0));
    let name = format!("{}web", scene.prefix);
    scene.docker(&["rm", "--force", &name]);
    scene.registry.go_away();
    scene.start();
    scene.settles("web", "stable");
    assert!(scene.is_current("web", &first));
    let host = scene.registry.host();
    scene.until("the registry is named as one that is away", |scene| {
        let report = scene.report();
        let mut registries = report["registries"].as_array().unwrap().iter();
        registries.any(|registry| {
            registry["url"].as_str().is_some_and(|url| url.contains(&host)) && registry["up"] == false
        })
    });
    let second = scene.push("acme/web", "stable", &format!("echo two; {SERVE}"));
    scene.registry.come_back();
    scene.until("the second version runs", |scene| scene.is_current("web", &second));
    scene.settles("web", "stable");
}

#[test]
fn a_registry_that_refuses_changes_nothing_and_is_not_hammered() {
    for (fault, words) in [
        (Fault::status(404), "not found"),
        (Fault::status(401), "not authorized"),
        (Fault::status(500), "500"),
        (Fault::too_many_requests("1"), "429"),
    ] {
        let (scene, first) = device();
        let before = scene.ids("web");
        answer(&scene, &fault);
        scene.registry.clear_requests();
        let second = scene.push("acme/web", "stable", &format!("echo two; {SERVE}"));
        scene.until(&format!("why says {words}"), |scene| {
            let why = scene.done(&["why", "$Pweb"]);
            why.contains(words) && why.contains(&scene.registry.host())
        });
        let began = std::time::Instant::now();
        scene.until("it had its time", |_| began.elapsed().as_secs() >= 2);
        let requests = scene.registry.requests().len();
        assert!(requests < 40, "{words}: {requests} requests");
        assert_eq!(scene.ids("web"), before, "{words}");
        assert!(scene.is_current("web", &first), "{words}");
        scene.registry.clear_faults();
        scene.until("the second version runs", |scene| scene.is_current("web", &second));
        scene.settles("web", "stable");
    }
}

#[test]
fn the_next_registry_serves_what_the_closest_has_lost() {
    let mut scene = Scene::new();
    let other = Registry::start();
    let first = scene.push("acme/web", "stable", SERVE);
    other.put("acme/web", "stable", &scene.image("stable", SERVE));
    assert_eq!(other.tag("acme/web", "stable").unwrap(), first, "both have the same image");
    // The first has the manifest, and none of the blobs.
    scene.registry.fault(Rule::on(Kind::Blob).any_method(), Fault::status(404));
    let document = format!(
        "{}registries:\n  - {{url: 'http://$R'}}\n  - {{url: 'http://{}'}}\n",
        web("[stable]", "", UPDATE).replace("$R/acme/web", "acme/web"),
        other.host()
    );
    scene.write(&document);
    scene.start();
    scene.settles("web", "stable");
    assert!(other.count("GET", Kind::Blob) > 0, "the other one served it");
}

#[test]
fn a_version_that_is_too_young_or_out_of_its_window_waits_and_why_says_so() {
    for (gate, words) in
        [("minimumAge: 1h", "`minimumAge` is 1h"), ("window: 'Mon 03:00-03:01 UTC'", "window")]
    {
        let (scene, first) = device();
        let update = UPDATE.replace("{interval", &format!("{{{gate}, interval"));
        scene.write(&web("[stable]", "", &update));
        scene.until("the document is in force", |scene| scene.report()["document"]["revision"] == 2);
        let before = scene.ids("web");
        let second = scene.push("acme/web", "stable", &format!("echo two; {SERVE}"));
        scene.until(&format!("why says {words}"), |scene| scene.done(&["why", "$Pweb"]).contains(words));
        assert_eq!(scene.ids("web"), before, "{gate}");
        assert!(scene.is_current("web", &first), "{gate}");
        // Somebody who asks for it gets it.
        scene.done(&["update", "$Pweb"]);
        scene.until("the second version runs", |scene| scene.is_current("web", &second));
        scene.settles("web", "stable");
    }
}

#[test]
fn the_fallback_is_taken_only_while_nothing_acceptable_can_be_had() {
    let mut scene = Scene::new();
    scene.push("acme/web", "latest", SERVE);
    scene.write(&web("['^2']\n    fallback: latest", "", UPDATE));
    scene.start();
    scene.settles("web", "latest");
    scene.push("acme/web", "2.0.0", &format!("echo two; {SERVE}"));
    scene.settles("web", "2.0.0");
}
