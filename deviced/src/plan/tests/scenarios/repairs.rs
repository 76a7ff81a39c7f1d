//! What is not as it has to be is mended.

use std::collections::BTreeMap;

use serde_json::json;

use super::{one, says, settled, until, updated, web};
use crate::engine::State;
use crate::health::Proof;
use crate::plan::Step;
use crate::plan::tests::engine::Behaviour::{Bad, Good, Late};
use crate::plan::tests::model::{Model, digest, entry, of};

#[test]
fn what_somebody_changed_by_hand_is_changed_back() {
    let mut model = settled(&[web(json!({"networks": ["front"], "mem_limit": "64m"}))]);
    model.engine.networks.insert("other".to_owned(), BTreeMap::new());
    let web = &mut model.engine.containers[0];
    web.name = "renamed".to_owned();
    web.networks = ["other".to_owned()].into();
    web.spec.0["HostConfig"]["Memory"] = json!(1);
    web.spec.0["HostConfig"]["RestartPolicy"] = json!({"Name": "no"});
    says(
        &model,
        "
        web: acting: what somebody changed by hand is changed back
          attach <renamed> to network front
          detach <renamed> from network other
          change Memory, MemorySwap, RestartPolicy of <renamed> in place
          rename <renamed> to web
        ",
    );
    model.pass(None);
    says(&model, "");
}

#[test]
fn what_is_down_is_started() {
    let mut model = settled(&[
        entry("always", &["^1"], json!({"restart": "always"})),
        entry("failure", &["^1"], json!({"restart": "on-failure:3"})),
        entry("job", &["^1"], json!({"restart": "no"})),
    ]);
    let all = |model: &mut Model, state, code| {
        for container in &mut model.engine.containers {
            (container.state, container.exit_code) = (state, code);
        }
    };
    all(&mut model, State::Exited, 0);
    says(
        &model,
        "
        always: acting: it ended with 0, and is started again
          start <always>
        ",
    );
    all(&mut model, State::Exited, 3);
    says(
        &model,
        "
        always: acting: it ended with 3, and is started again
          start <always>
        failure: acting: it ended with 3, and is started again
          start <failure>
        job: acting: it ended with 3, and is started again
          start <job>
        ",
    );
    all(&mut model, State::Paused, 0);
    says(
        &model,
        "
        always: acting: its processes are frozen: it is stopped and started
          stop <always>
          start <always>
        failure: acting: its processes are frozen: it is stopped and started
          stop <failure>
          start <failure>
        job: acting: its processes are frozen: it is stopped and started
          stop <job>
          start <job>
        ",
    );
    all(&mut model, State::Restarting, 1);
    says(
        &model,
        "
        always: waiting: it ended, and the engine starts it again
        failure: waiting: it ended, and the engine starts it again
        job: waiting: it ended, and the engine starts it again
        ",
    );
    all(&mut model, State::Dead, 1);
    says(
        &model,
        "
        always: acting: 1.0.0, what is there is half removed
          write down: always 1.0.0, what is there is half removed: create
          create always.new-op7-0 from image-0a0a0a0a0a0a
        failure: acting: 1.0.0, what is there is half removed
          write down: failure 1.0.0, what is there is half removed: create
          create failure.new-op7-1 from image-141414141414
        job: acting: 1.0.0, what is there is half removed
          write down: job 1.0.0, what is there is half removed: create
          create job.new-op7-2 from image-1e1e1e1e1e1e
        ",
    );
    all(&mut model, State::Removing, 1);
    model.is_up = false;
    model.settle();
    says(&model, "");
}

#[test]
fn one_that_is_missing_comes_from_the_local_image() {
    let mut model = one();
    model.engine.containers.clear();
    model.is_up = false;
    says(
        &model,
        "
        web: acting: 1.0.0, there is none
          write down: web 1.0.0, there is none: create
          create web from image-0a0a0a0a0a0a
        ",
    );
    // A better one that has to be fetched first is not waited for.
    model.is_up = true;
    model.publish("acme/web", "1.1.0", 11, Good);
    says(
        &model,
        "
        web: acting: 1.0.0, there is none
          pull acme/web@#11
          write down: web 1.0.0, there is none: create
          create web from image-0a0a0a0a0a0a
        ",
    );
    model.settle();
    assert_eq!(model.container("web").unwrap().digest(), Some(digest(11)));
}

#[test]
fn what_can_not_be_started_is_made_anew() {
    let mut model = one();
    let web = &mut model.engine.containers[0];
    (web.state, web.error) = (State::Exited, "no such device".to_owned());
    says(
        &model,
        "
        web: acting: 1.0.0, what is there can't be started: no such device
          write down: web 1.0.0, what is there can't be started: no such device: create
          create web.new-op7-0 from image-0a0a0a0a0a0a
        ",
    );
}

/// Two that live in the network of a third one.
fn shared() -> Model {
    let joined = json!({"network_mode": "service:vpn"});
    settled(&[
        entry("one", &["^1"], joined.clone()),
        entry("two", &["^1"], joined),
        entry("vpn", &["^1"], json!({})),
    ])
}

#[test]
fn who_shares_a_network_follows_its_owner() {
    let mut model = shared();
    model.publish("acme/vpn", "1.1.0", 31, Good);
    model.publish("acme/one", "1.1.0", 11, Good);
    says(
        &model,
        "
        one: acting: the image of 1.1.0 is pulled
          pull acme/one@#11
        vpn: acting: the image of 1.1.0 is pulled
          pull acme/vpn@#31
        ",
    );
    model.pass(None);
    says(
        &model,
        "
        one: waiting: vpn, which it needs, comes first
        vpn: acting: 1.0.0 -> 1.1.0, another version
          write down: vpn 1.1.0, another version: create
          create vpn.new-op11-2 from image-1f1f1f1f1f1f
        ",
    );
    model.settle();
    for id in ["one", "two"] {
        let owner = format!("container:{}", model.container("vpn").unwrap().id);
        let mode = model.container(id).unwrap().spec.get("/HostConfig/NetworkMode").cloned();
        assert_eq!(mode, Some(owner.into()), "{id}");
    }
    // Only the one that is made anew; from the same image.
    let versions = &model.versions["two"];
    assert_eq!((versions.len(), versions[0].target.image.clone()), (2, versions[1].target.image.clone()));

    let id = model.container("vpn").unwrap().id.clone();
    model.engine.apply(&Step::Stop(id)).unwrap();
    says(
        &model,
        "
        vpn: acting: it ended with 143, and is started again
          start <vpn>
        ",
    );
    model.pass(None);
    says(
        &model,
        "
        one: acting: vpn, whose namespace it shares, was started again: so is it
          stop <one>
          start <one>
        two: acting: vpn, whose namespace it shares, was started again: so is it
          stop <two>
          start <two>
        ",
    );
}

#[test]
fn who_shares_a_network_comes_back_with_its_owner() {
    let mut model = shared();
    model.publish("acme/vpn", "1.1.0", 31, Bad);
    model.settle();
    assert_eq!(model.container("vpn").unwrap().digest(), Some(digest(30)));
    for id in ["one", "two"] {
        let (owner, joined) = (model.container("vpn").unwrap(), model.container(id).unwrap());
        assert_eq!(joined.state, State::Running, "{id}");
        assert!(joined.started > owner.started, "{id} is cut off");
    }
}

#[test]
fn the_history_is_lost() {
    let mut model = settled(&[entry("one", &["^1"], json!({})), web(json!({}))]);
    updated(&mut model, Good);
    until(&mut model, "prove");
    let running = model.container("one").unwrap().id.clone();
    model.lose_history();
    says(
        &model,
        "
        one: acting: it was there already, and is taken over as it is
          write down: one 1.0.0, it was there already: retire
          write the version into the history
          end the replacement
        web: acting: it was there already, and is taken over as it is
          write down: web 1.1.0, it was there already: prove
        ",
    );
    model.settle();
    assert_eq!(model.container("one").unwrap().id, running);
    assert_eq!(model.container("web").unwrap().digest(), Some(digest(11)));
    assert_eq!(model.engine.containers.len(), 2);
}

#[test]
fn a_bad_version_is_found_out_although_the_history_is_lost() {
    let mut model = one();
    updated(&mut model, Bad);
    until(&mut model, "prove");
    model.lose_history();
    model.settle();
    assert_eq!(model.container("web").unwrap().digest(), Some(digest(10)), "{}", model.shown());
}

#[test]
fn what_ran_before_stays_beside_a_version_that_is_judged() {
    let mut model = one();
    updated(&mut model, Late);
    until(&mut model, "prove");
    model.engine.faults.insert("remove", 1);
    while model.swaps.contains_key("web") {
        model.pass(None);
    }
    model.lose_history();
    // As Podman shows it after a reboot.
    let old = model.engine.containers.iter_mut().find(|container| container.digest() == Some(digest(10)));
    old.expect("it could not be removed").state = State::Created;
    model.document = of(&[entry("web", &["1.1.0"], json!({}))]);
    model.settle();
    assert!(model.is_judged("web", &digest(11)), "{}", model.shown());
    assert_eq!(model.engine.containers.len(), 2, "{}", model.shown());
}

#[test]
fn a_container_that_is_removed_right_after_its_commit_does_not_take_the_old_one_along() {
    let mut model = one();
    updated(&mut model, Good);
    until(&mut model, "prove");
    // Commit, removal of the old one, end of the replacement: killed after the commit.
    while model.proofs.get("web") != Some(&Proof::Proven) {
        model.pass(None);
    }
    model.pass(Some(2));
    assert_eq!(model.versions["web"].len(), 2);
    model.engine.containers.retain(|container| container.digest() == Some(digest(10)));
    says(
        &model,
        "
        web: acting: 1.0.0 -> 1.1.0, another version: done, but its container is gone
          end the replacement
        ",
    );
    model.settle();
    assert_eq!(model.container("web").unwrap().digest(), Some(digest(11)));
}
