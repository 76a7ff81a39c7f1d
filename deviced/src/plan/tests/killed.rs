//! deviced is killed after every single step of what it does, and comes to the same end.

use std::collections::BTreeMap;

use serde_json::json;

use super::engine::Behaviour::{Bad, Good, Late};
use super::model::{Model, entry, of};
use crate::engine::State;
use crate::history::Override;

/// A device at rest, and the same device with something to do.
fn stories() -> Vec<(&'static str, Model)> {
    let device = || {
        let joined = json!({"network_mode": "service:vpn"});
        let mut web =
            entry("web", &["^1"], json!({"ports": ["8080:80"], "networks": ["front"], "restart": "always"}));
        web["hooks"] = json!({"pre": [{"command": ["drain"]}], "post": [{"command": ["warm"]}]});
        let mut model =
            Model::new(of(&[entry("app", &["^1"], joined), entry("vpn", &["^1"], json!({})), web]));
        for (number, id) in [(10, "app"), (20, "vpn"), (30, "web")] {
            model.publish(&format!("acme/{id}"), "1.0.0", number, Good);
        }
        model
    };
    let settled = || {
        let mut model = device();
        model.settle();
        model
    };
    let mut stories = vec![("a first installation", device())];
    for (name, behaviour) in
        [("a good update", Good), ("a bad update", Bad), ("an update that is bad later", Late)]
    {
        let mut model = settled();
        model.publish("acme/web", "1.1.0", 31, behaviour);
        stories.push((name, model));
    }
    for (name, behaviour) in [("an update of an owner", Good), ("a bad update of an owner", Bad)] {
        let mut model = settled();
        model.publish("acme/vpn", "1.1.0", 21, behaviour);
        stories.push((name, model));
    }
    let mut model = settled();
    model.document["containers"][2]["run"]["environment"] = json!({"LEVEL": "debug"});
    model.document["networks"]["front"] = json!({"internal": true});
    stories.push(("other options and another network", model));
    let mut model = settled();
    model.publish("acme/web", "1.1.0", 31, Good);
    model.settle();
    model.overrides.insert("web".to_owned(), Override { pinned: Some(1), ..Override::default() });
    stories.push(("a rollback by hand", model));
    let mut model = settled();
    model.engine.containers.clear();
    model.is_up = false;
    stories.push(("everything is gone, and no registry is there", model));
    let mut model = settled();
    model.document = of(&[model.document["containers"][1].clone()]);
    model.document["removeUnknown"] = "remove".into();
    stories.push(("some are not named any more", model));
    stories
}

/// What is to be compared: name, version and state of each container.
fn end(model: &Model) -> BTreeMap<String, (Option<dockerloader::digest::Digest>, State)> {
    let all = model.engine.containers.iter();
    all.map(|container| (container.name.clone(), (container.digest(), container.state))).collect()
}

/// The device as it is when deviced is killed after each step of what it does, with the number of the step.
fn killed(model: &Model) -> Vec<(usize, Model)> {
    let mut model = model.clone();
    let mut all = Vec::new();
    while !model.is_at_rest() {
        for cut in 0..model.steps() {
            let mut model = model.clone();
            model.pass(Some(cut));
            all.push((all.len(), model));
        }
        model.pass(None);
    }
    all
}

#[test]
fn after_every_step() {
    let disturbances: [(&str, fn(&mut Model)); 3] = [
        ("killed", |_| ()),
        ("rebooted", |model| model.engine.reboot()),
        ("killed, and once more", |model| {
            model.pass(Some(1));
        }),
    ];
    let mut tried = 0;
    for (story, model) in stories() {
        let mut undisturbed = model.clone();
        undisturbed.settle();
        let expected = end(&undisturbed);
        let killed = killed(&model);
        for (name, disturb) in disturbances {
            for (number, mut model) in killed.clone() {
                disturb(&mut model);
                model.settle();
                let found = end(&model);
                // An interruption may cost a try, not the result.
                assert_eq!(found, expected, "{story}, {name} after {number} steps:\n{}", model.shown());
                tried += 1;
            }
        }
    }
    assert!(tried > 300, "{tried}");
}

#[test]
fn and_with_its_history_lost() {
    for (story, model) in stories() {
        for (number, mut model) in killed(&model) {
            model.lose_history();
            let running: Vec<_> =
                model.engine.containers.iter().filter(|container| container.is_up()).cloned().collect();
            model.settle();
            for id in ["app", "vpn", "web"] {
                let ran = running.iter().any(|container| container.is_of(id));
                let Some(now) = model.container(id) else {
                    let is_named = model.document.to_string().contains(id);
                    assert!(!ran || !is_named, "{story}, {number} steps: {id} is gone\n{}", model.shown());
                    continue;
                };
                let good = now.digest().and_then(|digest| model.engine.behaviours.get(&digest));
                let is_fine = now.state == State::Running && good == Some(&Good)
                    || story.contains("bad later") && id == "web"
                    || !model.document.to_string().contains(id);
                assert!(is_fine, "{story}, {number} steps: {id} is {now:?}\n{}", model.shown());
            }
            let count =
                |id: &str| model.engine.containers.iter().filter(|container| container.is_of(id)).count();
            assert!(
                ["app", "vpn", "web"].iter().all(|id| count(id) <= 1),
                "{story}, {number} steps\n{}",
                model.shown()
            );
        }
    }
}
