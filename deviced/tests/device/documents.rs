//! The document's two doors, and what never comes through them.

use crate::scene::{SERVE, Scene};
use crate::updates::{UPDATE, settled, web};

#[test]
fn a_document_that_is_wrong_or_would_remove_everything_removes_nothing() {
    let mut scene = Scene::new();
    settled(&mut scene, "1", "", UPDATE);
    let before = scene.ids("web");
    for (document, said) in [
        ("", "empty"),
        ("containers: [", "YAML"),
        ("apiVersion: deviced/v1\ncontainers: []\n", "none of the"),
        ("apiVersion: deviced/v1\ncontainers: [{id: other, image: a/b, versions: ['1']}]\n", "none of the"),
    ] {
        scene.write(document);
        scene.until(said, |scene| {
            scene.report()["document"]["problem"].as_str().is_some_and(|problem| problem.contains(said))
        });
        let file = scene.path("refused.yaml");
        std::fs::write(&file, document).unwrap();
        let refused = scene.cli(&["apply", file.to_str().unwrap()]);
        assert_eq!(refused.status.code(), Some(1), "{document:?}: {refused:?}");
    }
    std::fs::remove_file(scene.path("device.yaml")).unwrap();
    scene.until("the file is missed", |scene| !scene.report()["document"]["problem"].is_null());
    scene.settles("web", "1");
    assert_eq!(scene.ids("web"), before);
}

#[test]
fn what_the_document_names_no_more_is_stopped_and_kept_and_said() {
    let mut scene = Scene::new();
    scene.push("acme/web", "1", SERVE);
    let other = format!(
        "  - id: $Pother\n    image: $R/acme/web\n    versions: ['1']\n    run: {{stop_grace_period: 1s}}\n    {UPDATE}\n"
    );
    let both = format!("{}{other}", web("['1']", "", UPDATE));
    scene.write(&both);
    scene.start();
    scene.settles("web", "1");
    scene.settles("other", "1");
    scene.write(&web("['1']", "", UPDATE));
    scene.until("it is stopped", |scene| scene.inspect("other")["State"]["Running"] == false);
    scene.until("that is said", |scene| scene.container("other")["status"] == "stopped");
    scene.write(&format!("{}removeUnknown: remove\n", web("['1']", "", UPDATE)));
    scene.until("it is removed", |scene| scene.ids("other").is_empty());
    scene.settles("web", "1");
}

#[test]
fn stopped_and_paused_by_hand_is_kept_and_protected_refuses() {
    let mut scene = Scene::new();
    settled(&mut scene, "1", "", UPDATE);
    scene.done(&["stop", "$Pweb"]);
    scene.until("it is stopped", |scene| scene.container("web")["status"] == "stopped");
    assert_eq!(scene.inspect("web")["State"]["Running"], false);
    scene.kill();
    scene.start();
    scene.until("it is known to be stopped", |scene| scene.container("web")["status"] == "stopped");
    assert_eq!(scene.inspect("web")["State"]["Running"], false);
    scene.done(&["start", "$Pweb"]);
    scene.settles("web", "1");
    let started = scene.inspect("web")["State"]["StartedAt"].clone();
    scene.done(&["restart", "$Pweb"]);
    scene.until("it was restarted", |scene| scene.inspect("web")["State"]["StartedAt"] != started);
    scene.settles("web", "1");
    scene.write(&web("['1']", "", &format!("{UPDATE}\n    protected: true")));
    scene.until("it is protected", |scene| scene.container("web")["protected"] == true);
    for action in ["stop", "restart"] {
        let refused = scene.cli(&[action, "$Pweb"]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("protected"), "{refused:?}");
    }
    scene.settles("web", "1");
}
