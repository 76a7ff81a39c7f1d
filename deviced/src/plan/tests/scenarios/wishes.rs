//! What the document and people want, and what others have.

use std::collections::BTreeMap;

use serde_json::json;

use super::{one, says, settled, until, updated, web};
use crate::engine::{ImageId, State};
use crate::history::Override;
use crate::plan::Step;
use crate::plan::tests::engine::Behaviour::{Bad, Good};
use crate::plan::tests::model::{Model, digest, entry, of};
use crate::spec::Spec;

#[test]
fn windows_hold_back_versions_and_options_and_no_repairs() {
    let mut model = one();
    model.closed.insert("web".to_owned());
    updated(&mut model, Good);
    says(
        &model,
        "
        web: waiting: 1.1.0 is ready, and waits for its window, which opens in 10m
        ",
    );
    model.hurried.insert("web".to_owned());
    says(
        &model,
        "
        web: acting: 1.0.0 -> 1.1.0, another version
          write down: web 1.1.0, another version: create
          create web.new-op8-0 from image-0b0b0b0b0b0b
        ",
    );
    model.hurried.clear();
    model.document["containers"][0]["run"]["environment"] = json!({"LEVEL": "debug"});
    says(
        &model,
        "
        web: waiting: 1.1.0 is ready, and waits for its window, which opens in 10m
        ",
    );
    let id = model.container("web").unwrap().id.clone();
    model.engine.end(&id);
    says(
        &model,
        "
        web: acting: 1.0.0 -> 1.1.0, another version
          write down: web 1.1.0, another version: create
          create web.new-op8-0 from image-0b0b0b0b0b0b
        ",
    );
    model.engine.containers.clear();
    says(
        &model,
        "
        web: acting: 1.1.0, there is none
          write down: web 1.1.0, there is none: create
          create web from image-0b0b0b0b0b0b
        ",
    );
}

#[test]
fn other_options() {
    let mut model = one();
    model.document["containers"][0]["run"] = json!({"environment": {"LEVEL": "debug"}, "restart": "always"});
    says(
        &model,
        "
        web: acting: 1.0.0, other options: environment.LEVEL, restart
          write down: web 1.0.0, other options: environment.LEVEL, restart: create
          create web.new-op7-0 from image-0a0a0a0a0a0a
        ",
    );
    model.settle();
    assert_eq!(model.versions["web"].len(), 2);
}

#[test]
fn what_somebody_said() {
    let mut model = settled(&[
        entry("a1", &["^1"], json!({})),
        entry("b1", &["^1"], json!({})),
        entry("c1", &["^1"], json!({})),
    ]);
    let say = |model: &mut Model, id: &str, said: Override| {
        model.overrides.insert(id.to_owned(), said);
    };
    say(&mut model, "a1", Override { stopped: true, ..Override::default() });
    say(&mut model, "b1", Override { paused: true, ..Override::default() });
    say(&mut model, "c1", Override { run: Some(json!({"restart": "often"})), ..Override::default() });
    says(
        &model,
        r#"
        a1: acting: somebody stopped it; `deviced start a1` starts it
          stop <a1>
        b1: paused: left alone: somebody paused it; `deviced resume b1` ends that
        c1: blocked: the changed run options don't fit: run.restart: "often" is no restart policy; write no, always, unless-stopped, on-failure or on-failure:TIMES; `deviced arguments c1` changes them
        "#,
    );
    model.pass(None);
    says(
        &model,
        r#"
        a1: stopped: somebody stopped it; `deviced start a1` starts it
        b1: paused: left alone: somebody paused it; `deviced resume b1` ends that
        c1: blocked: the changed run options don't fit: run.restart: "often" is no restart policy; write no, always, unless-stopped, on-failure or on-failure:TIMES; `deviced arguments c1` changes them
        "#,
    );
    // Left alone means left alone; what is blocked goes on.
    for container in &mut model.engine.containers {
        container.state = State::Exited;
    }
    says(
        &model,
        "
        a1: stopped: somebody stopped it; `deviced start a1` starts it
        b1: paused: left alone: somebody paused it; `deviced resume b1` ends that
        c1: acting: it ended with 0, and is started again
          start <c1>
        ",
    );
}

#[test]
fn dependencies() {
    let depends = |condition: &str| json!({"depends_on": {"db": {"condition": condition, "restart": true}}});
    let mut model = Model::new(of(&[
        entry("api", &["^1"], depends("service_started")),
        entry("db", &["^1"], json!({})),
        entry("seed", &["^1"], depends("service_completed_successfully")),
        entry("ui", &["^1"], depends("service_healthy")),
    ]));
    for (number, id) in (1..).zip(["api", "db", "seed", "ui"]) {
        model.publish(&format!("acme/{id}"), "1.0.0", number, Good);
    }
    model.pass(None);
    says(
        &model,
        "
        api: waiting: db, which it needs, comes first
        db: acting: 1.0.0, there is none
          write down: db 1.0.0, there is none: create
          create db from image-020202020202
        seed: waiting: db, which it needs, comes first
        ui: waiting: db, which it needs, comes first
        ",
    );
    model.settle();
    says(
        &model,
        "
        seed: waiting: waits for db: it has to end
        ui: waiting: waits for db: it has no health check by which it could be healthy
        ",
    );
    // A replaced one is waited for, and who wants it is started again.
    model.publish("acme/db", "1.1.0", 12, Good);
    model.publish("acme/api", "1.1.0", 11, Good);
    model.pass(None);
    says(
        &model,
        "
        api: waiting: db, which it needs, comes first
        db: acting: 1.0.0 -> 1.1.0, another version
          write down: db 1.1.0, another version: create
          create db.new-op11-1 from image-0c0c0c0c0c0c
        seed: waiting: db, which it needs, comes first
        ui: waiting: db, which it needs, comes first
        ",
    );
}

#[test]
fn unknown_containers() {
    let unnamed = |unknown: &str| {
        let mut model = one();
        model.document = of(&[]);
        model.document["removeUnknown"] = unknown.into();
        model
    };
    says(
        &unnamed("stop"),
        "
        web: acting: the document does not name it: it is stopped and kept
          stop <web>
        ",
    );
    says(&unnamed("keep"), "");
    says(
        &unnamed("remove"),
        "
        web: acting: the document does not name it: it is removed, and its volumes stay
          stop <web>
          remove <web>
        ",
    );
    let mut model = one();
    updated(&mut model, Good);
    until(&mut model, "prove");
    model.document = of(&[]);
    says(
        &model,
        "
        web: acting: 1.1.0 is rolled back: the document does not name it any more
          write down: web 1.1.0, another version: revert
          keep the last lines of <web>
          stop <web>
          rename <web> to web.new-op8-0
          rename <web.old-op8-0> to web
          start <web.old-op8-0>
          remove <web>
          write the verdict down: interrupted: the document does not name it any more
          end the replacement
        ",
    );
    model.settle();
    assert_eq!(model.container("web").unwrap().digest(), Some(digest(10)));
    // No document, no steps.
    model.revision = 0;
    says(&model, "");
}

#[test]
fn an_unknown_container_stays_for_who_was_rolled_back_into_its_network() {
    let mut model = settled(&[web(json!({"network_mode": "service:vpn"})), entry("vpn", &["^1"], json!({}))]);
    model.document = of(&[web(json!({}))]);
    model.document["removeUnknown"] = "remove".into();
    model.settle();
    assert!(model.container("vpn").is_none(), "nobody needs it any more:\n{}", model.shown());

    let mut model = settled(&[web(json!({"network_mode": "service:vpn"})), entry("vpn", &["^1"], json!({}))]);
    let first = model.versions["web"][0].id;
    model.document = of(&[web(json!({})), entry("vpn", &["^1"], json!({}))]);
    model.publish("acme/web", "1.1.0", 11, Good);
    model.settle();
    model.overrides.insert("web".to_owned(), Override { pinned: Some(first), ..Override::default() });
    model.document = of(&[web(json!({}))]);
    model.document["removeUnknown"] = "remove".into();
    model.settle();
    let vpn = model.container("vpn").expect("web needs it").id.clone();
    let mode = model.container("web").unwrap().spec.get("/HostConfig/NetworkMode").cloned();
    assert_eq!(mode, Some(format!("container:{vpn}").into()));
    // It goes on being what web needs.
    model.engine.apply(&Step::Stop(vpn.clone())).unwrap();
    says(
        &model,
        "
        vpn: acting: the document does not name it, and web shares its namespace: it stays for as long
          start <vpn>
        ",
    );
    model.settle();
    assert_eq!(model.container("vpn").map(|vpn| vpn.id.clone()), Some(vpn));
    model.overrides.clear();
    model.settle();
    assert!(model.container("vpn").is_none(), "released, nobody needs it:\n{}", model.shown());
}

#[test]
fn names_and_ports_of_others() {
    let mut model = Model::new(of(&[web(json!({"ports": ["8080:80"]})), entry("x", &["^1"], json!({}))]));
    model.publish("acme/web", "1.0.0", 10, Good);
    model.publish("acme/x", "1.0.0", 20, Good);
    let theirs = ImageId("theirs".to_owned());
    let ports = json!({"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "8080"}]}}});
    let other =
        model.engine.create("web", &theirs, serde_json::from_value(ports).unwrap(), BTreeMap::new()).unwrap();
    model.engine.start(&other).unwrap();
    model.pass(None);
    says(
        &model,
        "
        web: waiting: port 8080/tcp is held by the container web, which is not deviced's
        x: acting: 1.0.0, there is none
          write down: x 1.0.0, there is none: create
          create x-op1-1 from image-141414141414
        ",
    );
    model.engine.apply(&Step::Stop(other.clone())).unwrap();
    model.settle();
    let names: Vec<_> = model.engine.containers.iter().map(|container| container.name.as_str()).collect();
    assert!(
        names[1..].iter().all(|name| name.starts_with("web-op") || name.starts_with("x-op")),
        "{names:?}"
    );
    // When the name is free again it is taken.
    model.engine.containers.retain(|container| container.id != other);
    says(
        &model,
        "
        web: acting: what somebody changed by hand is changed back
          rename <web-op1-0> to web
        ",
    );
}

#[test]
fn images_go_when_nobody_needs_them() {
    let mut model = one();
    for (tag, number) in [("1.1.0", 11), ("1.2.0", 12)] {
        model.publish("acme/web", tag, number, Good);
        model.settle();
    }
    assert_eq!(model.engine.images.len(), 2, "{:?}", model.engine.images);
    model.publish("acme/web", "1.3.0", 13, Bad);
    model.pass(None);
    until(&mut model, "prove");
    model.pass(None);
    says(
        &model,
        "
        remove image acme/web@#13
        ",
    );
    for (digest, names) in model.engine.images.values_mut() {
        // Tags of somebody's, and the same image from where deviced never had it.
        names.extend(["mine:1".to_owned(), format!("mirror.example/acme/web@{digest}")]);
    }
    says(
        &model,
        "
        remove image acme/web@#13
        ",
    );
    let relayed = format!("127.0.0.1:4711/{}/acme/web@{}", "0f".repeat(16), digest(13));
    for (found, names) in model.engine.images.values_mut() {
        if *found == digest(13) {
            names.insert(relayed.clone());
        }
    }
    let plan = model.plan();
    assert!(plan.images.contains(&Step::RemoveImage(relayed)), "{:?}", plan.images);
    let target = model.versions["web"][1].target.clone();
    assert_eq!((target.version.as_str(), Some(target.digest)), ("1.1.0", Some(digest(11))));
}

#[test]
fn networks_that_change() {
    let mut model = settled(&[web(json!({"networks": ["front"]}))]);
    model.document["networks"]["front"] = json!({"internal": true});
    model.revision += 1;
    says(
        &model,
        "
        detach 000000000001 from network front
        remove network front
        create network front
        ",
    );
    model.pass(None);
    says(
        &model,
        "
        web: acting: what somebody changed by hand is changed back
          attach <web> to network front
        ",
    );
    model.settle();
    model.document["networks"] = json!({"front": {"internal": false}, "back": null});
    let none = Spec::default();
    let other = model.engine.create("other", &ImageId("theirs".into()), none, BTreeMap::new()).unwrap();
    model
        .engine
        .containers
        .iter_mut()
        .find(|container| container.id == other)
        .unwrap()
        .networks
        .insert("front".into());
    says(
        &model,
        "
        create network back
        ",
    );
    let (desired, observed, known) = model.view();
    let report = crate::plan::report(&model.plan(), &desired, &observed, &known);
    assert_eq!(
        report.resources[1..],
        [
            "network front differs from the document, and stays: other, which is not deviced's, is attached to it"
        ]
    );
    model.document["networks"] = json!({"front": {"external": true}, "back": null});
    model.engine.networks.clear();
    model.engine.containers.clear();
    says(&model, "
        create network back
        web: waiting: the network front is not there; it is external: create it, or take `external` out of the document
        ");
}
