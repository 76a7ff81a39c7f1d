//! The document: what it is based on, its forms, its revisions.

use serde_json::json;

use super::device::{DOCUMENT, Device};

const FIRST: &[(&str, &str)] = &[("If-None-Match", "*")];

#[tokio::test]
async fn a_document_is_put_read_and_changed_with_its_tag() {
    let device = Device::start().await;
    assert_eq!(device.get("/v1/document").await.problem(), "not-found");
    let answer = device.ask("PUT", "/v1/document", &[("If-Match", "*")], DOCUMENT.as_bytes()).await;
    assert_eq!((answer.status, answer.header("etag")), (412, None));

    let answer = device.ask("PUT", "/v1/document", FIRST, DOCUMENT.as_bytes()).await;
    assert_eq!((answer.status, answer.header("etag")), (201, Some("\"r1\"")));
    assert_eq!(answer.json(), json!({"revision": 1, "etag": "\"r1\""}));

    let answer = device.get("/v1/document").await;
    assert_eq!(
        (answer.status, answer.header("etag"), answer.text().as_str()),
        (200, Some("\"r1\""), DOCUMENT)
    );
    assert_eq!(answer.header("content-type"), Some("application/yaml"));
    let known = device.ask("GET", "/v1/document", &[("If-None-Match", "W/\"r1\"")], b"").await;
    assert_eq!((known.status, known.header("etag"), known.body.len()), (304, Some("\"r1\""), 0));

    // Other bytes have another tag, which is as good to base a change on.
    let as_json = device.ask("GET", "/v1/document", &[("Accept", "application/json")], b"").await;
    assert_eq!((as_json.status, as_json.header("etag")), (200, Some("\"r1-json\"")));
    assert_eq!(as_json.json()["containers"][0]["id"], "web");
    let answer = device.ask("PUT", "/v1/document", &[("If-Match", "\"r1-json\"")], &as_json.body).await;
    assert_eq!((answer.status, answer.header("etag")), (200, Some("\"r2\"")));
    let answer = device.get("/v1/document").await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let as_yaml = device.ask("GET", "/v1/document", &[("Accept", "application/yaml")], b"").await;
    assert_eq!((as_yaml.header("content-type"), &as_yaml.body), (Some("application/yaml"), &answer.body));

    let answer = device.ask("PUT", "/v1/document", &[("If-Match", "\"r1\"")], DOCUMENT.as_bytes()).await;
    assert_eq!((answer.status, answer.header("etag")), (412, Some("\"r2\"")));
    assert_eq!(answer.json()["etag"], "\"r2\"");
    for any in ["*", "\"r9\", \"r2\""] {
        let answer = device.ask("PUT", "/v1/document", &[("If-Match", any)], DOCUMENT.as_bytes()).await;
        assert_eq!(answer.status, if any == "*" { 200 } else { 412 }, "{any}");
    }
    let revisions = device.get("/v1/document/revisions?limit=2").await.json();
    assert_eq!(revisions["revisions"].as_array().unwrap().len(), 2);
    assert_eq!(revisions["revisions"][0]["revision"], 3);
    assert_eq!(revisions["revisions"][0].get("text"), None);
    assert_eq!(device.get("/v1/document/revisions/1").await.json()["text"], DOCUMENT);
    // The user of this test is who did it.
    let who = revisions["revisions"][0]["who"].as_str().unwrap();
    assert!(who.starts_with("socket:"), "{who}");
}

#[tokio::test]
async fn of_two_changes_of_one_revision_one_is_refused() {
    let device = Device::start().await;
    device.fill();
    for revision in 1..=20 {
        let etag = format!("\"r{revision}\"");
        let headers = [("If-Match", etag.as_str())];
        let (one, two) = tokio::join!(
            device.ask("PUT", "/v1/document", &headers, DOCUMENT.as_bytes()),
            device.ask("PUT", "/v1/document", &headers, DOCUMENT.as_bytes()),
        );
        let (good, bad) = if one.status == 200 { (one, two) } else { (two, one) };
        let next = format!("\"r{}\"", revision + 1);
        assert_eq!((good.status, good.header("etag")), (200, Some(next.as_str())));
        assert_eq!(
            (bad.status, bad.header("etag"), bad.problem().as_str()),
            (412, Some(next.as_str()), "stale")
        );
    }
    assert_eq!(device.history.revision_in_force().unwrap(), 21);
}

#[tokio::test]
async fn what_is_wrong_with_a_document_is_said_with_its_place() {
    let device = Device::start().await;
    let wrong = "apiVersion: deviced/v1\ncontainers:\n- id: web\n  imagee: acme/web\n";
    let answer = device.ask("PUT", "/v1/document", FIRST, wrong.as_bytes()).await;
    assert_eq!((answer.status, answer.problem().as_str()), (422, "document-refused"));
    let errors = answer.json()["errors"].clone();
    assert_eq!((&errors[0]["line"], &errors[0]["pointer"]), (&json!(4), &json!("/containers/0/imagee")));
    assert!(errors[0]["advice"].as_str().unwrap().contains("image"), "{errors}");
    for empty in ["", "\n", "# nothing\n", "{}", "[]", "null"] {
        let answer = device.ask("PUT", "/v1/document", FIRST, empty.as_bytes()).await;
        assert_eq!(answer.problem(), "document-refused", "{empty:?}");
    }
    let nothing = b"apiVersion: deviced/v1\ncontainers: []\n";
    let answer = device.ask("PUT", "/v1/document", FIRST, nothing).await;
    assert_eq!(answer.problem(), "removes-all");
    assert!(answer.json()["detail"].as_str().unwrap().contains("?remove_all=true"));
    assert_eq!(device.history.revision_in_force().unwrap(), 0);
    let answer = device.ask("PUT", "/v1/document?remove_all=true", FIRST, nothing).await;
    assert_eq!(answer.status, 201);
    let audits = device.get("/v1/audit").await.json();
    let outcomes: Vec<_> =
        audits["audit"].as_array().unwrap().iter().map(|audit| audit["outcome"].as_str().unwrap()).collect();
    assert!(outcomes[0].starts_with("refused") && outcomes.last() == Some(&"accepted"), "{outcomes:?}");
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let device = Device::start().await;
    device.fill();
    let before = device.state();
    for (method, path, body) in [
        ("PUT", "/v1/document?dry_run=true", DOCUMENT.as_bytes()),
        ("POST", "/v1/plan", DOCUMENT.as_bytes()),
        ("PUT", "/v1/containers/web/arguments?dry_run", b"{\"ports\": []}"),
        ("PUT", "/v1/containers/web/tag?dry_run=1", b"{\"tag\": \"1.5\"}"),
        ("DELETE", "/v1/containers/web/arguments?dry_run", b""),
        ("GET", "/v1/plan", b""),
    ] {
        let answer = device.ask(method, path, &[], body).await;
        assert_eq!((answer.status, &answer.json()["changes"]), (200, &json!(true)), "{method} {path}");
    }
    assert_eq!(device.state(), before);
    let answer = device.ask("PUT", "/v1/containers/web/arguments?dry_run", &[], b"{\"portz\": []}").await;
    assert_eq!(answer.problem(), "invalid");
}
