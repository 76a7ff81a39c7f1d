//! Replacements, from the first installation to the way back.

use std::time::Duration;

use serde_json::json;

use super::{one, says, settled, until, updated, web};
use crate::engine::State;
use crate::health::Proof;
use crate::history::Override;
use crate::plan::HooksEnd;
use crate::plan::tests::engine::Behaviour::{Bad, Good, Late};
use crate::plan::tests::model::{Model, digest, of};
use crate::swap::{Failure, Reason, Stage};

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
          stop <web>
          rename <web> to web.old-op8-0
          rename <web.new-op8-0> to web
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
          stop <web>
          rename <web> to web.old-op12-0
          rename <web.new-op12-0> to web
          start <web.new-op12-0>
          write down: web 1.0.0, what ran was judged in its probation: prove
        ");
    model.settle();
    assert_eq!(model.container("web").unwrap().digest(), Some(digest(10)));
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
