//! What is done to containers.

use serde_json::json;

use crate::api::{Api, operation};

const ID: &str = "01JDH0000000000000000000AB";

#[test]
fn an_operation_is_followed_to_its_end() {
    let api = Api::start();
    api.answer("POST /v1/containers/web/restart", 1, 202, &[], &json!({"operation": ID}).to_string());
    let path = format!("GET /v1/operations/{ID}");
    api.once(&path, &operation(ID, "web", "running", "stop", "waits for it to end"));
    api.once(&path, &operation(ID, "web", "running", "stop", "waits for it to end"));
    api.on(&path, &operation(ID, "web", "done", "start", "it runs"));
    let ended = api.run(&["restart", "web"]);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    assert_eq!(
        ended.out,
        "web: swap: stop: waits for it to end\nweb: swap: done: it runs\nweb was restarted\n"
    );
}

#[test]
fn a_failed_operation_is_a_no() {
    let api = Api::start();
    api.answer("POST /v1/containers/web/rollback", 1, 202, &[], &json!({"operation": ID}).to_string());
    api.on(
        &format!("GET /v1/operations/{ID}"),
        &operation(ID, "web", "failed", "revert", "1.0 ended with 1; 1.1 is back"),
    );
    let ended = api.run(&["rollback", "web", "--to", "7"]);
    assert_eq!((ended.code, ended.out.as_str()), (1, "web: swap: failed: 1.0 ended with 1; 1.1 is back\n"));
    assert_eq!(api.asked_for("POST /v1/containers/web/rollback").body, r#"{"to":7}"#);
}

#[test]
fn what_is_not_waited_for_or_not_over_goes_on() {
    let api = Api::start();
    api.answer("POST /v1/containers/web/update", usize::MAX, 202, &[], &json!({"operation": ID}).to_string());
    api.on(&format!("GET /v1/operations/{ID}"), &operation(ID, "web", "running", "pull", ""));
    let ended = api.run(&["update", "--no-wait", "web"]);
    assert!(ended.code == 0 && ended.out.contains(ID), "{ended:?}");
    assert!(api.asked().iter().all(|asked| !asked.line.contains("operations")), "it is not followed");
    let ended = api.run(&["update", "--timeout", "1s", "web"]);
    assert!(ended.code == 75 && ended.err.contains("not over after 1s"), "{ended:?}");
}

#[test]
fn one_that_refuses_does_not_keep_it_from_the_others() {
    let api = Api::start();
    api.problem("POST /v1/containers/database/stop", 409, "protected", "database is protected");
    let busy = json!({"type": "/problems/busy", "detail": "operation X is under way for camera"});
    api.answer("POST /v1/containers/camera/stop", 1, 409, &[], &busy.to_string());
    api.on("POST /v1/containers/web/stop", &json!({}));
    let ended = api.run(&["stop", "database", "camera", "web"]);
    assert_eq!(ended.code, 1, "the first that is not well counts");
    assert_eq!(ended.out, "web is stopped, until `deviced start` is said\n");
    assert_eq!(ended.err, "deviced: database is protected\ndeviced: operation X is under way for camera\n");
    let busy = json!({"type": "/problems/busy", "detail": "busy"});
    api.answer("POST /v1/containers/camera/stop", 1, 409, &[], &busy.to_string());
    assert_eq!(api.run(&["stop", "camera"]).code, 75);
}

#[test]
fn tags_and_arguments_are_set_and_given_back_to_the_document() {
    let api = Api::start();
    for line in [
        "PUT /v1/containers/web/tag",
        "DELETE /v1/containers/web/tag",
        "PUT /v1/containers/web/arguments",
        "DELETE /v1/containers/web/arguments",
    ] {
        api.on(line, &json!({}));
    }
    assert_eq!(api.run(&["tag", "web", "2.2-beta"]).code, 0);
    assert_eq!(api.asked_for("PUT /v1/containers/web/tag").body, r#"{"tag":"2.2-beta"}"#);
    assert_eq!(api.run(&["tag", "web", "--document"]).code, 0);
    let change = r#"{"environment": {"LEVEL": "debug"}}"#;
    assert_eq!(api.run(&["arguments", "web", "set", change]).code, 0);
    assert_eq!(api.asked_for("PUT /v1/containers/web/arguments").body, change);
    assert_eq!(api.run_with(&["arguments", "web", "set", "-"], "{}").code, 0);
    assert_eq!(api.asked().last().unwrap().body, "{}");
    assert_eq!(api.run(&["arguments", "web", "set", "nonsense"]).code, 2);
    assert_eq!(api.run(&["arguments", "web", "--document"]).code, 0);
    assert_eq!(api.asked().last().unwrap().line, "DELETE /v1/containers/web/arguments");
    let mut web = crate::api::container("web", "settled", "2.2-beta", "");
    web["overrides"] = json!(["paused", "tag 2.2-beta"]);
    api.on("GET /v1/containers/web", &web);
    let ended = api.run(&["tag", "web"]);
    assert!(ended.out.starts_with("web follows the tag 2.2-beta;"), "{ended:?}");
}

#[test]
fn a_verdict_is_found_by_its_first_digits() {
    let api = Api::start();
    let digest = format!("sha256:{}", "d".repeat(64));
    let verdict = json!({
        "digest": digest, "version": "2.0.0", "spec": "0", "reason": "app", "text": "x", "at": 0, "attempts": 1, "log": [],
    });
    api.on("GET /v1/containers/web/verdicts", &json!({"verdicts": [verdict]}));
    let path = format!("DELETE /v1/containers/web/verdicts/{}", digest.replace(':', "%3A"));
    api.answer(&path, usize::MAX, 204, &[], "");
    assert_eq!(api.run(&["forget", "web", "dddd"]).code, 0);
    assert_eq!(api.run(&["forget", "web", "eeee"]).code, 1);
    api.answer("DELETE /v1/containers/web/verdicts", 1, 204, &[], "");
    assert_eq!(api.run(&["forget", "web"]).out, "web: forgotten; it may be tried again\n");
}
