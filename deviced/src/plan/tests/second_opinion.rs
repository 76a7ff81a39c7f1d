//! What the second opinion refuses, whoever wants it.

use std::collections::BTreeMap;

use serde_json::json;

use super::engine::Behaviour::{Bad, Good};
use super::model::{Model, digest, entry, of};
use crate::engine::{ContainerId, ImageId, State};
use crate::history::Override;
use crate::plan::{Decision, Plan, Status, Step, check};
use crate::spec::Spec;
use crate::swap::{Cause, Failure, Reason, Stage, Swap};

/// A device with `web` and `db`, and a container of somebody else.
fn device() -> Model {
    let mut model = Model::new(of(&[
        entry("db", &["^1"], json!({})),
        entry("web", &["^1"], json!({"networks": ["front"]})),
    ]));
    model.publish("acme/db", "1.0.0", 20, Good);
    model.publish("acme/web", "1.0.0", 10, Good);
    let theirs = ImageId("theirs".to_owned());
    let other = model.engine.create("other", &theirs, Spec::default(), BTreeMap::new()).unwrap();
    model.engine.start(&other).unwrap();
    model.settle();
    model
}

/// In the middle of an update of `web`.
fn updating(stage: &str) -> Model {
    let mut model = device();
    model.publish("acme/web", "1.1.0", 11, Good);
    while model.swaps.get("web").is_none_or(|swap| swap.stage.name() != stage) {
        model.pass(None);
    }
    model
}

fn id(model: &Model, name: &str) -> ContainerId {
    let named = |container: &&super::engine::Real| {
        container.name == name || name.ends_with('-') && container.name.starts_with(name)
    };
    model.engine.containers.iter().find(named).unwrap().id.clone()
}

/// What is said about steps for a container.
fn said(model: &Model, subject: &str, steps: Vec<Step>) -> String {
    let decision =
        Decision { status: Status::Acting, why: String::new(), drift: Vec::new(), steps, again: None };
    let of = BTreeMap::from([(subject.to_owned(), decision)]);
    let is_named =
        model.document["containers"].as_array().unwrap().iter().any(|entry| entry["id"] == subject);
    let plan = if is_named {
        Plan { containers: of, ..Plan::default() }
    } else {
        Plan { strays: of, ..Plan::default() }
    };
    verdict(model, &plan)
}

fn verdict(model: &Model, plan: &Plan) -> String {
    let (desired, observed, known) = model.view();
    match check(plan, &desired, &observed, &known) {
        Ok(()) => "fine".to_owned(),
        Err(violations) => violations[0].why.clone(),
    }
}

fn swap_of(model: &Model, number: u8, stage: Stage) -> Swap {
    let mut target = model.versions["web"][0].target.clone();
    target.digest = digest(number);
    Swap {
        container: "web".to_owned(),
        operation: "new".to_owned(),
        cause: Cause::Version,
        old: Some(id(model, "web")),
        old_ran: true,
        target,
        stage,
        interrupted: 0,
    }
}

#[test]
fn what_is_refused_at_rest() {
    let model = device();
    let (web, db, other) = (id(&model, "web"), id(&model, "db"), id(&model, "other"));
    let create = |name: &str, image: &str| Step::Create {
        container: "web".to_owned(),
        name: name.to_owned(),
        image: ImageId(image.to_owned()),
        spec: Spec::default(),
        labels: BTreeMap::new(),
    };
    let here = model.versions["web"][0].target.image.clone().unwrap().0;
    let rename = |id: &ContainerId, name: &str| Step::Rename { id: id.clone(), name: name.to_owned() };
    let record = |stage: Stage| Step::Record(swap_of(&model, 11, stage));
    let failed = Failure::new(Reason::App, "no");
    for (subject, steps, expected) in [
        ("web", vec![Step::Stop(web.clone()), Step::Start(web.clone())], "fine"),
        ("web", vec![Step::Stop(web.clone())], "it is the only one that runs (I1)"),
        ("web", vec![Step::Remove(web.clone())], "nothing proven runs in its place (I3)"),
        ("web", vec![Step::Stop(db.clone()), Step::Start(db.clone())], "it is a container of db"),
        ("web", vec![Step::Start(other.clone())], "other is not deviced's"),
        ("web", vec![Step::KeepLog(other.clone())], "other is not deviced's"),
        ("web", vec![rename(&other, "theirs")], "other is not deviced's"),
        ("web", vec![rename(&web, "other")], "another container is called other"),
        ("web", vec![Step::Start(ContainerId("gone".into()))], "there is no such container"),
        ("web", vec![create("web.new", &here)], "nothing is written down about it"),
        ("web", vec![record(Stage::Create), create("web.new", &here)], "fine"),
        ("web", vec![record(Stage::Create), create("web.new", "gone")], "the image is not here"),
        ("web", vec![record(Stage::Create), create("db", &here)], "another container is called db"),
        ("db", vec![record(Stage::Create)], "it is about web"),
        ("web", vec![record(Stage::Switch)], "there is no container to take the old one's place"),
        ("web", vec![record(Stage::Prove)], "there is no container to take the old one's place"),
        ("web", vec![record(Stage::Retire)], "the new version has not proven itself"),
        ("web", vec![Step::Commit { container: "web".into() }], "nothing has proven itself"),
        ("web", vec![Step::Judge { container: "web".into(), failure: failed.clone() }], "nothing has failed"),
        ("web", vec![Step::RemoveNetwork("front".into())], "it is no step of a container"),
        ("gone", vec![Step::Start(web.clone())], "it is a container of web"),
    ] {
        let text = format!("{subject}: {steps:?}");
        assert_eq!(said(&model, subject, steps), expected, "{text}");
    }
}

#[test]
fn what_is_refused_in_the_middle_of_an_update() {
    let model = updating("prove");
    let (web, old) = (id(&model, "web"), id(&model, "web.old-"));
    let finish = || Step::Finish { container: "web".into() };
    let record = |stage: Stage| Step::Record(Swap { stage, ..model.swaps["web"].clone() });
    let commit = || Step::Commit { container: "web".into() };
    let proven = |model: &Model| {
        let mut model = model.clone();
        model.proofs.insert("web".into(), crate::health::Proof::Proven);
        model
    };
    let mut unproven = model.clone();
    unproven.proofs.clear();
    let failure = || Stage::Revert(Failure::new(Reason::App, "no"));
    for (model, steps, expected) in [
        (&unproven, vec![Step::Remove(old.clone())], "what replaces it has not proven itself (I3)"),
        (
            &unproven,
            vec![record(Stage::Retire), commit(), Step::Remove(old.clone()), finish()],
            "the new version has not proven itself",
        ),
        (&unproven, vec![commit()], "nothing has proven itself"),
        (&unproven, vec![finish()], "it would be left half done"),
        (&unproven, vec![Step::Stop(web.clone())], "nothing is there to take its place"),
        (
            &unproven,
            vec![
                record(failure()),
                Step::Stop(web.clone()),
                Step::Start(old.clone()),
                Step::Remove(web.clone()),
                finish(),
            ],
            "fine",
        ),
        (
            &unproven,
            vec![record(failure()), Step::Remove(old.clone())],
            "what replaces it has not proven itself (I3)",
        ),
        (&unproven, vec![record(failure()), Step::Start(web.clone())], "it has failed"),
        (&unproven, vec![Step::Record(swap_of(&model, 12, Stage::Create))], "operation op"),
        (&proven(&model), vec![record(Stage::Retire), commit(), Step::Remove(old.clone()), finish()], "fine"),
        (
            &proven(&model),
            vec![record(Stage::Retire), Step::Remove(old.clone())],
            "what replaces it has not proven itself (I3)",
        ),
        (
            &proven(&model),
            vec![record(Stage::Retire), commit(), Step::Remove(web.clone())],
            "what replaces it has not proven itself (I3)",
        ),
    ] {
        let text = format!("{steps:?}");
        let said = said(model, "web", steps);
        assert!(
            said == expected || expected == "operation op" && said.starts_with(expected),
            "{said}: {text}"
        );
    }
    // The new one is gone: what ran before is all there is.
    let mut gone = updating("prove");
    let new = id(&gone, "web");
    gone.engine.containers.retain(|container| container.id != new);
    let old = id(&gone, "web.old-");
    assert_eq!(said(&gone, "web", vec![Step::Stop(old)]), "nothing is there to take its place");
}

#[test]
fn a_judged_version_is_not_tried() {
    let mut model = device();
    model.publish("acme/web", "1.1.0", 11, Bad);
    model.settle();
    for stage in [Stage::Create, Stage::Hook, Stage::Switch, Stage::Prove] {
        let steps = vec![Step::Record(swap_of(&model, 11, stage))];
        assert!(said(&model, "web", steps).ends_with("has been judged (I4)"));
    }
}

#[test]
fn what_somebody_said_may_be_stopped_and_what_is_unknown_may_go() {
    let mut model = device();
    let web = id(&model, "web");
    model.overrides.insert("web".into(), Override { stopped: true, ..Override::default() });
    assert_eq!(said(&model, "web", vec![Step::Stop(web.clone())]), "fine");
    model.document = of(&[]);
    for (unknown, stop, remove) in [
        ("stop", "fine", "the document wants unknown containers to be kept"),
        (
            "keep",
            "the document wants unknown containers to go on",
            "the document wants unknown containers to be kept",
        ),
        ("remove", "fine", "fine"),
    ] {
        model.document["removeUnknown"] = unknown.into();
        assert_eq!(said(&model, "web", vec![Step::Stop(web.clone())]), stop, "{unknown}");
        assert_eq!(said(&model, "web", vec![Step::Remove(web.clone())]), remove, "{unknown}");
    }
    model.revision = 0;
    assert_eq!(said(&model, "web", vec![Step::Stop(web)]), "there is no document");
}

#[test]
fn two_workers_and_a_busy_one() {
    let model = device();
    let web = id(&model, "web");
    let restart = vec![Step::Stop(web.clone()), Step::Start(web)];
    let (desired, observed, mut known) = model.view();
    let decision = Decision {
        status: Status::Acting,
        why: String::new(),
        drift: Vec::new(),
        steps: restart,
        again: None,
    };
    let of = BTreeMap::from([("web".to_owned(), decision)]);
    let plan = Plan { containers: of.clone(), strays: of.clone(), ..Plan::default() };
    assert!(check(&plan, &desired, &observed, &known).is_err());
    let plan = Plan { containers: of, ..Plan::default() };
    assert_eq!(check(&plan, &desired, &observed, &known), Ok(()));
    known.busy.insert("web".to_owned());
    let violations = check(&plan, &desired, &observed, &known).unwrap_err();
    assert_eq!(
        violations[0].to_string(),
        format!("refused to {}: a worker is at it already", plan.containers["web"].steps[0])
    );
}

#[test]
fn networks_volumes_and_images() {
    let mut model = device();
    model.engine.networks.insert("theirs".to_owned(), BTreeMap::new());
    model.engine.pull("acme/old", digest(99));
    let (web, other) = (id(&model, "web"), id(&model, "other"));
    let disconnect = |id: &ContainerId| Step::Disconnect { id: id.clone(), network: "front".to_owned() };
    let remove = |name: &str| Step::RemoveNetwork(name.to_owned());
    for (steps, expected) in [
        (vec![remove("front")], "web is attached to it"),
        (
            vec![
                disconnect(&web),
                remove("front"),
                Step::CreateNetwork { name: "front".into(), body: json!({}) },
            ],
            "fine",
        ),
        (vec![remove("theirs")], "it is not deviced's"),
        (vec![disconnect(&other)], "it is not deviced's"),
        (vec![Step::CreateNetwork { name: "theirs".into(), body: json!({}) }], "it is there already"),
        (
            vec![Step::CreateVolume { name: "data".into(), body: json!({}) }],
            "it is there already, and may hold data",
        ),
        (vec![Step::Start(web.clone())], "it is no step of a network or volume"),
    ] {
        let text = format!("{steps:?}");
        assert_eq!(verdict(&model, &Plan { resources: steps, ..Plan::default() }), expected, "{text}");
    }
    let name = |number: u8, image: &str| format!("acme/{image}@{}", digest(number));
    for (name, expected) in
        [(name(99, "old"), "fine"), (name(10, "web"), "the container web was made from it")]
    {
        let plan = Plan { images: vec![Step::RemoveImage(name)], ..Plan::default() };
        assert_eq!(verdict(&model, &plan), expected);
    }
    model.publish("acme/web", "1.1.0", 11, Good);
    model.settle();
    let plan = Plan { images: vec![Step::RemoveImage(name(10, "web"))], ..Plan::default() };
    assert_eq!(verdict(&model, &plan), "web may go back to version 1");
    model.engine.containers.retain(|container| container.state != State::Running);
    let plan = Plan { images: vec![Step::RemoveImage(name(11, "web"))], ..Plan::default() };
    assert_eq!(verdict(&model, &plan), "web has to run it");
}

/// One that is paused is not stopped for the sake of one that does not serve, unless that one is paused too.
#[test]
fn of_two_that_are_paused_one_may_be_stopped() {
    for (other, expected) in [
        (State::Running, "fine"),
        (State::Paused, "fine"),
        (State::Exited, "it is the only one that runs (I1)"),
        (State::Created, "it is the only one that runs (I1)"),
    ] {
        let mut model = device();
        let web = id(&model, "web");
        let mut second = model.engine.get(&web).unwrap().clone();
        second.id = ContainerId("second".to_owned());
        second.name = "second".to_owned();
        second.state = other;
        model.engine.containers.push(second);
        for container in &mut model.engine.containers {
            if container.id == web {
                container.state = State::Paused;
            }
        }
        model.versions.clear();
        assert_eq!(said(&model, "web", vec![Step::Stop(web)]), expected, "{other:?}");
    }
}
