//! An engine that is away, hangs, fails, or is cut off.

use std::time::Duration;

use deviced::engine::{ContainerId, Deadlines, Docker, Engine as _, Error, LogRequest, Progress, Pull};
use dockerloader::clock;
use fixtures::engine_proxy::{Act, EngineProxy};
use futures_util::StreamExt as _;
use serde_json::json;

const SOON: Duration = Duration::from_millis(400);

fn deadlines() -> Deadlines {
    Deadlines { list: SOON, change: SOON, stop: SOON, pull: SOON }
}

fn alone() -> (EngineProxy, Docker) {
    let engine = EngineProxy::alone();
    engine.speak("1.12", "1.41", "Docker/20.10.24 (linux)");
    let docker = Docker::new(engine.socket().to_owned(), deadlines());
    (engine, docker)
}

fn id() -> ContainerId {
    ContainerId("8dfafdbc3a40e5f2".to_owned())
}

fn pull() -> Pull {
    Pull {
        repository: "registry.example/acme/web".to_owned(),
        digest: format!("sha256:{:064}", 1),
        platform: None,
        credentials: None,
    }
}

#[tokio::test]
async fn an_engine_that_is_away_is_away() {
    let directory = tempfile::tempdir().unwrap();
    let docker = Docker::new(directory.path().join("no.sock"), deadlines());
    let error = docker.containers().await.unwrap_err();
    assert!(matches!(error, Error::Away { .. }) && error.is_about_engine(), "{error:?}");
    assert!(error.to_string().contains("no.sock") && error.to_string().contains("No such file"), "{error}");
    assert!(matches!(docker.start(&id()).await.unwrap_err(), Error::Away { .. }));
    assert!(matches!(docker.events().await.err(), Some(Error::Away { .. })));
    assert!(matches!(docker.logs(&id(), &LogRequest::default()).next().await, Some(Err(Error::Away { .. }))));
}

#[tokio::test]
async fn an_engine_that_hangs_is_silent_when_the_deadline_is_over() {
    let (engine, docker) = alone();
    for method in ["GET", "POST", "DELETE"] {
        engine.on(method, "*", Act::Hang);
    }
    let (id, list) = (id(), json!({}));
    macro_rules! silent {
        ($call:expr) => {{
            let begin = clock::now();
            let error = $call.await.unwrap_err();
            assert!(matches!(&error, Error::Silent { after, .. } if *after >= SOON), "{error:?}");
            assert!(begin.elapsed() < 10 * SOON, "{error}: {:?}", begin.elapsed());
        }};
    }
    silent!(docker.facts());
    silent!(docker.containers());
    silent!(docker.images());
    silent!(docker.networks());
    silent!(docker.volumes());
    silent!(docker.inspect(&id));
    silent!(docker.start(&id));
    silent!(docker.stop(&id, Some(Duration::ZERO)));
    silent!(docker.stop(&id, None));
    silent!(docker.rename(&id, "x"));
    silent!(docker.remove(&id));
    silent!(docker.update(&id, &list));
    silent!(docker.remove_image("x"));
    silent!(docker.create_network("x", &list));
    silent!(docker.remove_network("x"));
    silent!(docker.connect(&id, "x", &list));
    silent!(docker.disconnect(&id, "x"));
    silent!(docker.create_volume("x", &list));
    silent!(docker.pull(&pull(), &mut |_| {}));
    assert!(matches!(docker.events().await.err(), Some(Error::Silent { .. })));
    assert!(matches!(docker.logs(&id, &LogRequest::default()).next().await, Some(Err(Error::Silent { .. }))));

    // It comes back.
    engine.clear();
    engine.on("GET", "/containers/json", Act::json("[]"));
    assert_eq!(docker.containers().await.unwrap(), []);
}

#[tokio::test]
async fn an_engine_that_hangs_in_the_middle_of_an_answer_is_silent_too() {
    let (engine, docker) = alone();
    engine.on("GET", "/containers/json", Act::Begin(String::new()));
    engine.on("GET", "/images/json", Act::Begin("[{\"Id\":".to_owned()));
    assert!(matches!(docker.containers().await.unwrap_err(), Error::Silent { .. }));
    assert!(matches!(docker.images().await.unwrap_err(), Error::Silent { .. }));
}

#[tokio::test]
async fn a_connection_that_is_cut_is_no_answer() {
    let (engine, docker) = alone();
    engine.on("GET", "/images/json", Act::Cut);
    engine.on("GET", "/networks", Act::Torn("[{\"Id\":".to_owned()));
    engine.on("POST", "/containers/*/start", Act::Cut);
    assert!(matches!(docker.images().await.unwrap_err(), Error::Away { .. }));
    assert!(matches!(docker.networks().await.unwrap_err(), Error::Away { .. }));
    assert!(matches!(docker.start(&id()).await.unwrap_err(), Error::Away { .. }));
    // After that it is asked again what it is.
    let before = engine.count("GET", "/version");
    assert!(docker.volumes().await.is_err());
    assert_eq!(engine.count("GET", "/version"), before + 1);
}

#[tokio::test]
async fn each_status_has_its_meaning_and_the_engine_s_words() {
    let (engine, docker) = alone();
    type Is = fn(&Error) -> bool;
    let table: [(u16, &str, Is); 5] = [
        (404, "No such container: x", |error| matches!(error, Error::Missing { .. })),
        (409, "the name is in use", |error| matches!(error, Error::Conflict { .. })),
        (400, "invalid", |error| matches!(error, Error::Refused { .. })),
        (500, "driver failed programming external connectivity", |error| {
            matches!(error, Error::Failed { .. })
        }),
        (500, "write /var/lib/docker/x: no space left on device", |error| {
            matches!(error, Error::Full { .. })
        }),
    ];
    for (status, message, is_right) in table {
        engine.clear();
        engine.on("GET", "/containers/*/json", Act::status(status, message));
        engine.on("POST", "/containers/*/start", Act::status(status, message));
        engine.on("POST", "/containers/*/update", Act::status(status, message));
        engine.on("GET", "/containers/*/logs", Act::status(status, message));
        for error in [
            docker.inspect(&id()).await.unwrap_err(),
            docker.start(&id()).await.unwrap_err(),
            docker.update(&id(), &json!({})).await.unwrap_err(),
            docker.logs(&id(), &LogRequest::default()).next().await.unwrap().unwrap_err(),
        ] {
            assert!(is_right(&error), "{status} {message}: {error:?}");
            let text = error.to_string();
            assert!(text.contains("8dfafdbc3a40") && text.contains(message), "{text}");
        }
    }
    engine.on("GET", "/containers/json", Act::json("<html>"));
    assert!(matches!(docker.containers().await.unwrap_err(), Error::Answer { .. }));
}

#[tokio::test]
async fn what_is_gone_already_need_not_be_done_away_with() {
    let (engine, docker) = alone();
    docker.remove(&id()).await.unwrap();
    docker.stop(&id(), Some(Duration::ZERO)).await.unwrap();
    docker.stop(&id(), None).await.unwrap();
    docker.remove_image("acme/web:1").await.unwrap();
    docker.remove_network("front").await.unwrap();
    engine.on("DELETE", "/containers/*", Act::status(409, "removal of container 8d is already in progress"));
    docker.remove(&id()).await.unwrap();
    engine.on("DELETE", "/containers/*", Act::status(409, "You cannot remove a running container"));
    assert!(matches!(docker.remove(&id()).await.unwrap_err(), Error::Conflict { .. }));
    engine.on("DELETE", "/images/*", Act::status(409, "image is being used by running container"));
    assert!(matches!(docker.remove_image("acme/web:1").await.unwrap_err(), Error::Conflict { .. }));
}

#[tokio::test]
async fn an_error_inside_a_pull_that_began_well_is_an_error() {
    let (engine, docker) = alone();
    engine.on("GET", "/images/*", Act::json(json!({"Id": "sha256:1"})));
    engine.on("POST", "/images/create", Act::error_in_stream("manifest for acme/web not found"));
    let error = docker.pull(&pull(), &mut |_| {}).await.unwrap_err();
    assert!(matches!(&error, Error::Failed { message, .. } if message.contains("not found")), "{error:?}");

    engine.on("POST", "/images/create", Act::error_in_stream("write /x: no space left on device"));
    assert!(matches!(docker.pull(&pull(), &mut |_| {}).await.unwrap_err(), Error::Full { .. }));

    engine.on("POST", "/images/create", Act::json("{\"status\":\"Pulling from acme/web\"}\nnot JSON\n"));
    assert!(matches!(docker.pull(&pull(), &mut |_| {}).await.unwrap_err(), Error::Answer { .. }));
}

#[tokio::test]
async fn a_pull_that_ends_without_an_image_has_failed() {
    let (engine, docker) = alone();
    let line = r#"{"status":"Downloading","progressDetail":{"current":5,"total":10},"id":"aa"}"#;
    engine.on("POST", "/images/create", Act::json(format!("{line}\r\n")));
    let mut seen = Vec::new();
    let error = docker.pull(&pull(), &mut |progress| seen.push(progress)).await.unwrap_err();
    assert!(matches!(error, Error::Failed { .. }), "{error:?}");
    assert_eq!(seen, [Progress { done: 5, total: 10, layers_done: 0, layers_total: 1 }]);

    engine.on("GET", "/images/*", Act::json(json!({"Id": "sha256:1"})));
    assert_eq!(docker.pull(&pull(), &mut |_| {}).await.unwrap().0, "sha256:1");
    let request = engine.requests().into_iter().find(|seen| seen.path == "/images/create").unwrap();
    assert_eq!(request.query, format!("fromImage=registry.example%2Facme%2Fweb&tag=sha256%3A{:064}", 1));
}

#[tokio::test]
async fn a_pull_may_take_long_and_may_not_be_silent_long() {
    let (engine, docker) = alone();
    let line = r#"{"status":"Downloading","progressDetail":{"current":5,"total":10},"id":"aa"}"#;
    engine.on("POST", "/images/create", Act::Begin(format!("{line}\r\n")));
    let begin = clock::now();
    assert!(matches!(docker.pull(&pull(), &mut |_| {}).await.unwrap_err(), Error::Silent { .. }));
    assert!(begin.elapsed() >= SOON);
}

#[tokio::test]
async fn passwords_go_to_the_engine_and_nowhere_else() {
    let (engine, docker) = alone();
    engine.on("POST", "/images/create", Act::status(500, "unauthorized"));
    let pull = Pull {
        credentials: Some(("me".to_owned(), "hunter2".to_owned())),
        platform: Some("linux/arm64".to_owned()),
        ..pull()
    };
    let error = docker.pull(&pull, &mut |_| {}).await.unwrap_err();
    let shown = format!("{error} {error:?} {pull:?} {docker:?}");
    assert!(!shown.contains("hunter2") && shown.contains("me"), "{shown}");
    let request = engine.requests().into_iter().find(|seen| seen.path == "/images/create").unwrap();
    assert!(request.query.ends_with("&platform=linux%2Farm64"), "{request:?}");
    assert!(!format!("{request:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_container_that_can_t_be_attached_is_removed_again() {
    let (engine, docker) = alone();
    let networks = ["front", "back"].map(|name| json!({"Name": name, "Id": format!("id of {name}")}));
    engine.on("GET", "/networks", Act::json(json!(networks)));
    engine.on(
        "POST",
        "/containers/create",
        Act::Answer { status: 201, body: r#"{"Id":"4711","Warnings":["so so"]}"#.to_owned() },
    );
    engine.on("POST", "/networks/back/connect", Act::status(500, "no address is left"));
    engine.on(
        "GET",
        "/containers/4711/json",
        Act::json(json!({"NetworkSettings": {"Networks": {"front": {}}}})),
    );
    engine.on("DELETE", "/containers/4711", Act::Answer { status: 204, body: String::new() });
    let new = deviced::engine::NewContainer {
        name: "web".to_owned(),
        image: deviced::engine::ImageId("sha256:1".to_owned()),
        spec: serde_json::from_value(json!({
            "HostConfig": {"NetworkMode": "front"}, "NetworkingConfig": {"EndpointsConfig": {"front": {}, "back": {}}},
        }))
        .unwrap(),
        labels: [("deviced.id".to_owned(), "web".to_owned())].into(),
    };
    let error = docker.create(&new).await.unwrap_err();
    assert!(matches!(&error, Error::Failed { message, .. } if message == "no address is left"), "{error:?}");
    assert_eq!(engine.count("DELETE", "/containers/4711"), 1);

    engine.on("POST", "/networks/back/connect", Act::Answer { status: 200, body: String::new() });
    let created = docker.create(&new).await.unwrap();
    assert_eq!((created.id.0.as_str(), created.warnings.as_slice()), ("4711", &["so so".to_owned()][..]));
    assert_eq!(engine.count("DELETE", "/containers/4711"), 1);
}

#[tokio::test]
async fn events_end_with_an_error_when_the_engine_goes() {
    let (engine, docker) = alone();
    let lines = "{\"Type\":\"container\",\"Action\":\"die\",\"Actor\":{\"ID\":\"1\"}}\n{\"Type\":\"container\",\"Action\":\"exec_start: a\",\"Actor\":{\"ID\":\"1\"}}\n";
    engine.on("GET", "/events", Act::json(lines));
    let events: Vec<_> = docker.events().await.unwrap().collect().await;
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[0].as_ref().unwrap().action, "die");
    assert!(matches!(events[1], Err(Error::Away { .. })), "{events:?}");
}
