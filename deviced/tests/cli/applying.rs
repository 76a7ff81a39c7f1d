//! `plan` and `apply`.

use serde_json::{Value, json};

use crate::api::{Api, container, operation, report};

const DOCUMENT: &str = "apiVersion: deviced/v1\ncontainers: []\n";

fn plan(changes: bool) -> Value {
    let action = if changes { "replace" } else { "keep" };
    json!({
        "revision": 0, "changes": changes, "resources": [],
        "containers": [{"id": "web", "action": action, "why": "", "from": "1.4.1", "to": "1.4.2", "drift": [
            {"field": "environment.LEVEL", "wanted": "debug", "found": "info"},
        ]}],
    })
}

fn refusal() -> String {
    json!({
        "type": "/problems/document-refused", "detail": "3:5: no such field", "errors": [
            {"pointer": "/containers/0/imgae", "line": 3, "column": 5, "detail": "no such field", "advice": "did you mean image?"},
        ],
    })
    .to_string()
}

#[test]
fn a_plan_reads_like_a_diff_and_says_by_its_code_whether_there_is_one() {
    let api = Api::start();
    let file = api.file("device.yaml", DOCUMENT);
    api.once("POST /v1/plan", &plan(true))
        .once("POST /v1/plan", &plan(true))
        .on("POST /v1/plan", &plan(false));
    let ended = api.run(&["plan", &file]);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    assert_eq!(
        ended.out,
        "~ replace web 1.4.1 -> 1.4.2\n    environment.LEVEL: info -> debug\n1 to replace.\n"
    );
    let asked = api.asked_for("POST /v1/plan");
    assert_eq!((asked.body.as_str(), asked.headers["content-type"].as_str()), (DOCUMENT, "application/yaml"));
    assert_eq!(api.run(&["plan", "--exit-code", &file]).code, 10);
    assert_eq!(api.run(&["plan", "--exit-code", &file]).code, 0);
    api.on("GET /v1/plan", &plan(false));
    assert_eq!(api.run(&["plan", "--json"]).out, format!("{}\n", plan(false)));
    assert_eq!(api.run(&["plan", "/nowhere.yaml"]).code, 66);
}

#[test]
fn findings_name_the_file() {
    let api = Api::start();
    api.answer("POST /v1/plan", usize::MAX, 422, &[], &refusal());
    let ended = api.run_with(&["plan", "-"], DOCUMENT);
    assert_eq!((ended.code, ended.out.as_str()), (1, ""));
    assert_eq!(
        ended.err,
        "-:3:5: containers[0].imgae: no such field; did you mean image?\ndeviced: the document is refused; nothing has changed\n"
    );
    api.problem("GET /v1/document", 404, "not-found", "there is none");
    let ended = api.run_with(&["apply", "-"], DOCUMENT);
    assert!(ended.code == 1 && ended.err.contains("-:3:5: "), "{ended:?}");
    assert!(api.asked().iter().all(|asked| !asked.line.starts_with("PUT")), "nothing was changed");
}

/// What `apply` asks before it puts a document in force.
fn before(api: &Api) {
    api.answer("GET /v1/document", usize::MAX, 200, &[("etag", "\"r12\"")], DOCUMENT);
    api.on("POST /v1/plan", &plan(true));
    api.once(
        "GET /v1/operations",
        &json!({"operations": [operation("01A", "web", "failed", "revert", "long ago")]}),
    );
    api.once("GET /v1/status", &report(12, 5, &[]));
}

#[test]
fn a_document_is_put_in_force_and_followed() {
    let api = Api::start();
    before(&api);
    api.answer("PUT /v1/document", 1, 200, &[("etag", "\"r13\"")], "{}");
    let settled = container("web", "settled", "1.4.2", "");
    let proving = container("web", "proving", "1.4.2", "");
    api.once(
        "GET /v1/operations",
        &json!({"operations": [operation("01B", "web", "running", "prove", "it runs for 1 s")]}),
    );
    api.once("GET /v1/status", &report(13, 6, &[proving]));
    api.on(
        "GET /v1/operations",
        &json!({"operations": [operation("01B", "web", "done", "retire", "runs 1.4.2")]}),
    );
    api.on("GET /v1/status", &report(13, 7, &[settled]));
    let file = api.file("device.yaml", DOCUMENT);
    let ended = api.run(&["apply", &file]);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    assert_eq!(
        ended.out,
        "~ replace web 1.4.1 -> 1.4.2\n    environment.LEVEL: info -> debug\n1 to replace.\n\
         web: swap: prove: it runs for 1 s\nweb: swap: done: runs 1.4.2\n\
         Document r13 is in force, and the device is as it says.\n"
    );
    assert_eq!(api.asked_for("PUT /v1/document").headers["if-match"], "\"r12\"");
}

#[test]
fn a_version_that_was_rolled_back_is_a_no() {
    let api = Api::start();
    before(&api);
    api.answer("PUT /v1/document", 1, 200, &[("etag", "\"r13\"")], "{}");
    api.on("GET /v1/operations", &json!({"operations": [operation("01B", "web", "failed", "revert", "1.4.2 ended with 1; 1.4.1 is back")]}));
    api.on("GET /v1/status", &report(13, 7, &[container("web", "settled", "1.4.1", "")]));
    let ended = api.run_with(&["apply", "-"], DOCUMENT);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.out.contains("web: 1.4.2 ended with 1; 1.4.1 is back; 1.4.1 runs"), "{ended:?}");
    assert!(ended.err.contains("document r13 is in force") && ended.err.contains("deviced why"), "{ended:?}");
}

#[test]
fn the_first_document_is_made_and_one_that_was_changed_meanwhile_is_not_overwritten() {
    let api = Api::start();
    api.problem("GET /v1/document", 404, "not-found", "there is none");
    api.on("POST /v1/plan", &plan(true))
        .on("GET /v1/operations", &json!({"operations": []}))
        .on("GET /v1/status", &report(0, 1, &[]));
    api.answer("PUT /v1/document?remove_all=true", 1, 201, &[("etag", "\"r1\"")], "{}");
    let ended = api.run_with(&["apply", "--no-wait", "--remove-all", "-"], DOCUMENT);
    assert!(ended.code == 0 && ended.out.contains("Document r1 is in force"), "{ended:?}");
    assert_eq!(api.asked_for("PUT /v1/document?remove_all=true").headers["if-none-match"], "*");
    api.problem("PUT /v1/document", 412, "stale", "revision 2 is in force, not 1");
    let ended = api.run_with(&["apply", "-"], DOCUMENT);
    assert!(ended.code == 1 && ended.err.contains("look at `deviced plan FILE` again"), "{ended:?}");
}

#[test]
fn machines_get_an_object_a_line() {
    let api = Api::start();
    before(&api);
    api.answer("PUT /v1/document", 1, 200, &[("etag", "\"r13\"")], r#"{"revision":13}"#);
    api.on(
        "GET /v1/operations",
        &json!({"operations": [operation("01B", "web", "done", "retire", "runs 1.4.2")]}),
    );
    api.on("GET /v1/status", &report(13, 7, &[container("web", "settled", "1.4.2", "")]));
    let ended = api.run_with(&["apply", "--json", "-"], DOCUMENT);
    let lines: Vec<Value> = ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((ended.code, lines.len()), (0, 2), "{ended:?}");
    assert_eq!(
        (&lines[0]["revision"], &lines[1]["id"], &lines[1]["state"]),
        (&json!(13), &json!("01B"), &json!("done"))
    );
}
