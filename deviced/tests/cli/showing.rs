//! What is shown, and for machines unchanged.

use serde_json::json;

use crate::api::{Api, container, report};

#[test]
fn status_is_a_table_and_for_machines_what_the_api_says() {
    let api = Api::start();
    let body =
        report(12, 3, &[container("web", "blocked", "1.4.2", "2.0.0 was rolled back: it ended with 1")]);
    api.on("GET /v1/status", &body);
    let ended = api.run(&["status"]);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    assert!(ended.out.starts_with("shop-17  document r12  deviced 0.1.0"), "{}", ended.out);
    assert!(
        ended.out.contains("web        blocked  1.4.2    running  2.0.0 was rolled back"),
        "{}",
        ended.out
    );
    assert!(!ended.out.contains('\u{1b}'), "no colours without a terminal");
    let ended = api.run(&["status", "--json"]);
    assert_eq!((ended.code, ended.out), (0, format!("{body}\n")), "unchanged");
}

#[test]
fn one_container_in_full_and_one_that_is_not_there() {
    let api = Api::start();
    api.on("GET /v1/containers/web", &container("web", "settled", "1.4.2", "runs its best version"));
    api.problem(
        "GET /v1/containers/wbe",
        404,
        "not-found",
        "the document has no container \"wbe\"; did you mean \"web\"?",
    );
    let ended = api.run(&["status", "web"]);
    assert!(ended.code == 0 && ended.out.contains("why          runs its best version"), "{ended:?}");
    let ended = api.run(&["status", "wbe"]);
    assert_eq!((ended.code, ended.out.as_str()), (1, ""));
    assert_eq!(ended.err, "deviced: the document has no container \"wbe\"; did you mean \"web\"?\n");
}

#[test]
fn why_asks_for_all_that_is_known() {
    let api = Api::start();
    api.on("GET /v1/containers/web", &container("web", "blocked", "1.4.2", "2.0.0 was rolled back"));
    api.on(
        "GET /v1/containers/web/verdicts",
        &json!({"verdicts": [{
            "digest": format!("sha256:{}", "d".repeat(64)), "version": "2.0.0", "spec": "0", "reason": "app",
            "text": "it ended with 1", "at": 1_795_678_200, "attempts": 1, "log": ["no table"],
        }]}),
    );
    api.on(
        "GET /v1/registries",
        &json!({"registries": [{"url": "https://r.example", "up": true, "rank": 1, "requests": 3}]}),
    );
    let ended = api.run(&["why", "web"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    for part in [
        "web: 2.0.0 was rolled back",
        "it ended with 1",
        "| no table",
        "deviced forget web dddddddddddd",
        "1 https://r.example",
    ] {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
    api.on("GET /v1/containers/web/why", &json!({"why": "2.0.0 was rolled back"}));
    assert_eq!(api.run(&["why", "--json", "web"]).out, "{\"why\":\"2.0.0 was rolled back\"}\n");
}

#[test]
fn nobody_there_is_said_with_what_to_do() {
    let api = Api::start();
    let ended = api.run(&["--socket", "/nowhere/socket", "status"]);
    assert_eq!((ended.code, ended.out.as_str()), (69, ""));
    assert!(
        ended.err.starts_with("deviced: there is no /nowhere/socket: deviced does not run here"),
        "{}",
        ended.err
    );
    api.problem("GET /v1/status", 503, "engine-away", "the engine does not answer");
    let ended = api.run(&["status"]);
    assert_eq!((ended.code, ended.err.as_str()), (69, "deviced: the engine does not answer\n"));
}

#[test]
fn a_token_is_asked_for_and_a_wrong_one_said() {
    let api = Api::start();
    let ended = api.run(&["--url", "http://127.0.0.1:1", "status"]);
    assert!(ended.code == 2 && ended.err.contains("DEVICED_TOKEN_FILE"), "{ended:?}");
    let ended = api.run(&["--url", "http://device:7788", "status"]);
    assert!(ended.code == 2 && ended.err.contains("loopback"), "{ended:?}");
    api.problem("GET /v1/status", 401, "unauthorized", "a token is needed");
    assert_eq!(api.run(&["status"]).code, 77);
}
