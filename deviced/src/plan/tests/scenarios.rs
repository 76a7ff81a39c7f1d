//! One situation after another, and what is said and done about it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::engine::Behaviour::{self, Bad, Good, Late};
use super::model::{Model, digest, entry, of};
use crate::engine::{ImageId, State};
use crate::health::Proof;
use crate::history::Override;
use crate::plan::{HooksEnd, Step};
use crate::spec::Spec;
use crate::swap::{Failure, Reason, Stage};

/// A device that runs version 1.0.0 of each container.
fn settled(containers: &[Value]) -> Model {
    let mut model = Model::new(of(containers));
    for (index, container) in containers.iter().enumerate() {
        let number = u8::try_from(10 * (index + 1)).unwrap();
        model.publish(container["image"].as_str().unwrap(), "1.0.0", number, Good);
    }
    model.settle();
    model
}

fn web(run: Value) -> Value {
    entry("web", &["^1"], run)
}

fn one() -> Model {
    settled(&[web(json!({}))])
}

/// Version 1.1.0 comes, and its image is pulled.
fn updated(model: &mut Model, behaviour: Behaviour) {
    model.publish("acme/web", "1.1.0", 11, behaviour);
    model.pass(None);
}

/// Passes until the replacement of `web` is in this stage.
fn until(model: &mut Model, stage: &str) {
    for _ in 0..20 {
        if model.swaps.get("web").is_some_and(|swap| swap.stage.name() == stage) {
            return;
        }
        model.pass(None);
    }
    panic!("no stage {stage}:\n{}", model.shown());
}

#[track_caller]
fn says(model: &Model, expected: &str) {
    let said = model.said().join("\n");
    let expected: Vec<_> =
        expected.lines().map(|line| line.strip_prefix("        ").unwrap_or(line)).collect();
    assert_eq!(said, expected.join("\n").trim(), "\n{said}\n");
}

#[test]
fn a_first_installation() {
    let mut model = Model::new(of(&[web(json!({"networks": ["front"], "volumes": ["data:/data"]}))]));
    model.publish("acme/web", "1.0.0", 10, Good);
    says(
        &model,
        "
        create network front
        create volume data
        web: acting: the image of 1.0.0 is pulled
          pull acme/web@#10
        ",
    );
    model.pass(None);
    says(
        &model,
        "
        web: acting: 1.0.0, there is none
          write down: web 1.0.0, there is none: create
          create web from image-0a0a0a0a0a0a
        ",
    );
    model.pass(None);
    says(
        &model,
        "
        web: acting: 1.0.0, there is none: the new version takes the old one's place
          write down: web 1.0.0, there is none: switch
          start <web>
          write down: web 1.0.0, there is none: prove
        ",
    );
    model.pass(None);
    says(
        &model,
        "
        web: acting: 1.0.0, there is none: it has proven itself
          write down: web 1.0.0, there is none: retire
          write the version into the history
          end the replacement
        ",
    );
    model.pass(None);
    says(&model, "");
}

#[test]
fn an_update_stage_by_stage() {
    let mut model = one();
    model.publish("acme/web", "1.1.0", 11, Good);
    says(
        &model,
        "
        web: acting: the image of 1.1.0 is pulled
          pull acme/web@#11
        ",
    );
    model.pass(None);
    says(
        &model,
        "
        web: acting: 1.0.0 -> 1.1.0, another version
          write down: web 1.1.0, another version: create
          create web.new-op8-0 from image-0b0b0b0b0b0b
        ",
    );
    model.pass(None);
    says(
        &model,
        "
        web: acting: 1.0.0 -> 1.1.0, another version: the new version takes the old one's place
          write down: web 1.1.0, another version: switch
          rename <web> to web.old-op8-0
          rename <web.new-op8-0> to web
          stop <web>
          start <web.new-op8-0>
          write down: web 1.1.0, another version: prove
        ",
    );
    model.pass(None);
    says(
        &model,
        "
        web: acting: 1.0.0 -> 1.1.0, another version: it has proven itself
          write down: web 1.1.0, another version: retire
          write the version into the history
          remove <web.old-op8-0>
          end the replacement
        ",
    );
    model.pass(None);
    says(&model, "");
}

#[test]
fn a_bad_version_is_rolled_back_and_judged() {
    let mut model = one();
    updated(&mut model, Bad);
    until(&mut model, "prove");
    says(
        &model,
        "
        web: acting: 1.1.0 is rolled back: it ended with 1
          write down: web 1.1.0, another version: revert
          keep the last lines of <web>
          stop <web>
          rename <web> to web.new-op8-0
          rename <web.old-op8-0> to web
          start <web.old-op8-0>
          remove <web>
          write the verdict down: app: it ended with 1
          end the replacement
        ",
    );
    model.pass(None);
    says(
        &model,
        "
        remove image acme/web@#11
        ",
    );
    assert_eq!(model.container("web").unwrap().digest(), Some(digest(10)));
    assert!(model.is_judged("web", &digest(11)));
    // The next one is tried.
    model.publish("acme/web", "1.2.0", 12, Good);
    model.settle();
    assert_eq!(model.container("web").unwrap().digest(), Some(digest(12)));
}

#[test]
fn a_first_version_that_fails_makes_room_for_the_next() {
    let mut model = Model::new(of(&[web(json!({}))]));
    model.publish("acme/web", "1.1.0", 11, Bad);
    model.publish("acme/web", "1.0.0", 10, Good);
    until(&mut model, "prove");
    says(
        &model,
        "
        web: acting: 1.1.0 is rolled back: it ended with 1
          write down: web 1.1.0, there is none: revert
          keep the last lines of <web>
          stop <web>
          remove <web>
          write the verdict down: app: it ended with 1
          end the replacement
        ",
    );
    model.pass(None);
    says(
        &model,
        "
        web: acting: the image of 1.0.0 is pulled
          pull acme/web@#10
        remove image acme/web@#11
        ",
    );
    model.settle();
    assert_eq!(model.container("web").unwrap().digest(), Some(digest(10)));
}

#[test]
fn nothing_that_can_be_had() {
    let mut model = Model::new(of(&[web(json!({}))]));
    says(
        &model,
        "
        create network front
        create volume data
        web: waiting: no acceptable version can be had (^1: no registry has it)
        ",
    );
    model.is_up = false;
    says(
        &model,
        "
        create network front
        create volume data
        web: waiting: no acceptable version can be had (^1: https://r.example: no answer)
        ",
    );
}

#[test]
fn the_engine_refuses_to_create() {
    let mut model = one();
    updated(&mut model, Good);
    model.engine.faults.insert("create", 1);
    model.pass(None);
    says(
        &model,
        "
        web: acting: 1.1.0 is rolled back: it could not be created
          write down: web 1.1.0, another version: revert
          write the verdict down: environment: create: the engine failed
          end the replacement
        ",
    );
    model.pass(None);
    says(&model, "");
    model.settle();
    assert_eq!(model.container("web").unwrap().digest(), Some(digest(11)));
}

#[test]
fn the_engine_can_not_start_the_new_one() {
    let mut model = one();
    updated(&mut model, Good);
    until(&mut model, "create");
    model.engine.faults.insert("start", 1);
    model.pass(None);
    says(
        &model,
        "
        web: acting: 1.1.0 is rolled back: it could not be started
          write down: web 1.1.0, another version: revert
          rename <web> to web.new-op8-0
          rename <web.old-op8-0> to web
          start <web.old-op8-0>
          remove <web>
          write the verdict down: environment: start: the engine failed
          end the replacement
        ",
    );
    model.pass(None);
    says(&model, "");
}

#[test]
fn hooks_before_and_after() {
    let mut web = web(json!({}));
    web["hooks"] = json!({"pre": [{"command": ["drain"]}], "post": [{"command": ["warm"]}]});
    let mut model = settled(&[web]);
    updated(&mut model, Good);
    until(&mut model, "create");
    says(
        &model,
        "
        web: acting: 1.0.0 -> 1.1.0, another version: `pre` hooks are run
          write down: web 1.1.0, another version: hook
          run `pre` hooks in <web>
        ",
    );
    model.pass(None);
    model.hooks.insert("web".to_owned(), HooksEnd::NotNow(Duration::from_secs(300)));
    says(
        &model,
        "
        web: waiting: 1.0.0 -> 1.1.0, another version: a `pre` hook said: not now
        ",
    );
    model.hooks.insert("web".to_owned(), HooksEnd::Failed("drain ended with 1".to_owned()));
    says(
        &model,
        "
        web: acting: 1.1.0 is rolled back: a `pre` hook failed
          write down: web 1.1.0, another version: revert
          remove <web.new-op8-0>
          write the verdict down: environment: a `pre` hook failed: drain ended with 1
          end the replacement
        ",
    );
    model.hooks.insert("web".to_owned(), HooksEnd::Done);
    model.pass(None);
    says(
        &model,
        "
        web: acting: 1.0.0 -> 1.1.0, another version: it has proven itself
          write down: web 1.1.0, another version: retire
          run `post` hooks in <web>
          write the version into the history
          remove <web.old-op8-0>
          end the replacement
        ",
    );
}

#[test]
fn an_old_one_that_can_not_be_removed_changes_nothing() {
    let mut model = one();
    updated(&mut model, Good);
    until(&mut model, "prove");
    model.engine.faults.insert("remove", 1);
    model.pass(None);
    says(
        &model,
        "
        web: acting: 1.0.0 -> 1.1.0, another version: done, except for what can't be removed yet
          end the replacement
        ",
    );
    model.pass(None);
    says(
        &model,
        "
        web: acting: older containers of it are removed
          remove <web.old-op8-0>
        ",
    );
    model.pass(None);
    says(&model, "");
}

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

#[test]
fn a_crash_loop_in_probation_goes_back() {
    let mut model = one();
    updated(&mut model, Late);
    until(&mut model, "prove");
    model.pass(None);
    model.pass(None);
    says(
        &model,
        "
        web: acting: 1.1.0 -> 1.0.0, what ran was judged in its probation
          write down: web 1.0.0, what ran was judged in its probation: create
          create web.new-op12-0 from image-0a0a0a0a0a0a
        ",
    );
    model.pass(None);
    says(&model, "
        web: acting: 1.1.0 -> 1.0.0, what ran was judged in its probation: the new version takes the old one's place
          write down: web 1.0.0, what ran was judged in its probation: switch
          rename <web> to web.old-op12-0
          rename <web.new-op12-0> to web
          stop <web>
          start <web.new-op12-0>
          write down: web 1.0.0, what ran was judged in its probation: prove
        ");
    model.settle();
    assert_eq!(model.container("web").unwrap().digest(), Some(digest(10)));
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
fn a_rollback_by_hand_is_offline() {
    let mut model = one();
    updated(&mut model, Good);
    model.settle();
    model.is_up = false;
    model.overrides.insert("web".to_owned(), Override { pinned: Some(1), ..Override::default() });
    says(
        &model,
        "
        web: acting: 1.1.0 -> 1.0.0, rolled back by hand
          write down: web 1.0.0, rolled back by hand: create
          create web.new-op14-0 from image-0a0a0a0a0a0a
        ",
    );
    model.settle();
    assert_eq!(model.container("web").unwrap().digest(), Some(digest(10)));
    model.overrides.clear();
    model.settle();
    assert_eq!(model.container("web").unwrap().digest(), Some(digest(11)));
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
    for (_, names) in model.engine.images.values_mut() {
        names.insert("mine:1".to_owned());
    }
    says(
        &model,
        "
        remove image acme/web@#13
        ",
    );
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

#[test]
fn interrupted_proofs_have_a_budget() {
    let mut model = one();
    updated(&mut model, Good);
    until(&mut model, "prove");
    let interrupt = |model: &mut Model| {
        let new = model.engine.containers.iter_mut().find(|container| container.digest() == Some(digest(11)));
        let new = new.unwrap();
        (new.state, new.exit_code) = (State::Exited, 143);
        let failure = Failure::new(Reason::Interrupted, "the engine was away");
        model.proofs.insert("web".to_owned(), Proof::Failed(failure));
    };
    for _ in 0..2 {
        interrupt(&mut model);
        says(
            &model,
            "
        web: acting: 1.0.0 -> 1.1.0, another version: watched anew: the engine was away
          write down: web 1.1.0, another version: prove
          start <web>
        ",
        );
        model.pass(None);
    }
    interrupt(&mut model);
    says(
        &model,
        "
        web: acting: 1.1.0 is rolled back: the engine was away
          write down: web 1.1.0, another version: revert
          keep the last lines of <web>
          rename <web> to web.new-op8-0
          rename <web.old-op8-0> to web
          start <web.old-op8-0>
          remove <web>
          write the verdict down: interrupted: the engine was away
          end the replacement
        ",
    );
    model.pass(None);
    assert!(!model.is_judged("web", &digest(11)));
    assert_eq!(model.container("web").unwrap().digest(), Some(digest(10)));
    model.settle();
    assert_eq!(model.container("web").unwrap().digest(), Some(digest(11)));
}

#[test]
fn a_target_that_changes_before_anything_was_stopped() {
    let mut model = one();
    updated(&mut model, Good);
    until(&mut model, "create");
    model.publish("acme/web", "1.2.0", 12, Good);
    model.pass(None);
    assert_eq!(model.swaps["web"].stage, Stage::Prove, "its image is not here yet");
    let mut model = one();
    updated(&mut model, Good);
    model.publish("acme/web", "1.2.0", 12, Good);
    model.engine.pull("acme/web", digest(12));
    model.document["containers"][0]["versions"] = json!(["1.1.0"]);
    until(&mut model, "create");
    model.document["containers"][0]["versions"] = json!(["1.2.0"]);
    says(
        &model,
        "
        web: acting: 1.0.0 -> 1.1.0, another version: given up: 1.2.0 is wanted now
          remove <web.new-op8-0>
          end the replacement
        ",
    );
}
