//! The registry is not there, not trusted, or does not trust us.

use std::io::Read as _;
use std::net::TcpListener;
use std::time::Duration;

use base64::Engine as _;
use fixtures::registry::{Auth, Fault, Kind, Registry, Rule};

use crate::scene::{Place, Scene, good};

/// A look at the registry fails with this code and these words, nothing on disk changes, and `app` runs on.
fn fails(scene: &Scene, code: i32, words: &[&str]) {
    let before = scene.place.slots();
    let running = scene.run(&["status", "--json"]).result()["supervisor"]["app_pid"].clone();
    let asked = scene.run(&["check"]);
    assert_eq!(asked.code, Some(code), "{}", asked.all());
    asked.says(words);
    assert_eq!(scene.place.slots(), before);
    scene.place.assert_no_leftovers();
    let status = scene.run(&["status", "--json"]).result();
    assert_eq!(status["supervisor"]["app_pid"], running, "the application runs on");
    assert_eq!(status["last_check"]["outcome"], "failed");
    for word in words {
        assert!(status["last_check"]["detail"].as_str().unwrap().contains(word), "{status}");
    }
}

/// With nothing on disk the supervisor says why, tries again with pauses, and stops at once when it is told to.
fn cannot_install(scene: &Scene, words: &[&str]) {
    let mut supervisor = scene.start();
    for _ in 0..2 {
        let message = supervisor.event("install_failed")["message"].as_str().unwrap().to_owned();
        for word in words.iter().chain(&["next try in"]) {
            assert!(message.contains(word), "{word:?} is not in: {message}");
        }
    }
    assert_eq!(scene.place.slots(), [const { None }; 4]);
    let lines = supervisor.lines().join("\n");
    assert!(!lines.contains("hunter2"), "{lines}");
    let (time, code) = supervisor.stop();
    assert_eq!(code, Some(143));
    assert!(time < Duration::from_secs(2), "{time:?}");
}

#[test]
fn an_unknown_host() {
    // RFC 6761, 6.4: never resolves.
    let scene = Scene::new().set("DOCKERLOADER_TARGET", "registry.invalid/app:v");
    cannot_install(&scene, &["registry.invalid", "no such host", "check the name"]);
}

#[test]
fn a_refused_connection() {
    let scene = Scene::new();
    scene.install(&good("v1"));
    let mut supervisor = scene.start();
    supervisor.line("ready v1");
    scene.registry.go_away();
    fails(&scene, 75, &[&scene.registry.host(), "connection refused", "check the port"]);
    scene.registry.come_back();
    scene.push(&good("v2"));
    assert_eq!(scene.run(&["check"]).code, Some(42));
}

#[test]
fn the_registry_is_away_at_the_first_start_and_comes_back() {
    let scene = Scene::new();
    scene.push(&good("v1"));
    scene.registry.go_away();
    let mut supervisor = scene.start();
    let failed = supervisor.event("install_failed")["message"].as_str().unwrap().to_owned();
    for word in [&*scene.registry.host(), "connection refused", "next try in 1 s"] {
        assert!(failed.contains(word), "{failed}");
    }
    scene.registry.come_back();
    supervisor.line("ready v1");
}

#[test]
fn the_registry_answers_nothing_while_a_version_is_on_disk() {
    let scene = Scene::new();
    scene.install(&good("v1"));
    // It accepts, and then says nothing: the worst kind of away.
    let hole = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("{}/app:v", hole.local_addr().unwrap());
    let scene = scene.set("DOCKERLOADER_TARGET", &target).set("DOCKERLOADER_UPDATE_INTERVAL_SECS", "1");
    let mut supervisor = scene.start();
    supervisor.line("ready v1");
    // The supervisor's own look hangs meanwhile.
    let (mut connection, _) = hole.accept().unwrap();
    assert!(connection.read(&mut [0; 16]).unwrap() > 0);
    let status = scene.run(&["status", "--json"]).result();
    assert_eq!(status["supervisor"]["phase"], "running");
    assert_eq!(status["supervisor"]["pulling"], true);
    let (time, _) = supervisor.stop();
    assert!(time < Duration::from_secs(3), "{time:?}");
}

#[test]
fn the_registry_answers_nothing_and_nothing_is_on_disk() {
    let hole = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("{}/app:v", hole.local_addr().unwrap());
    let scene = Scene::new().set("DOCKERLOADER_TARGET", &target);
    let supervisor = scene.start();
    let (mut connection, _) = hole.accept().unwrap();
    assert!(connection.read(&mut [0; 16]).unwrap() > 0);
    let (time, code) = supervisor.stop();
    assert_eq!(code, Some(143));
    assert!(time < Duration::from_secs(2), "{time:?}");
}

fn log_in(scene: &Scene, password: &str) {
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("user:{password}"));
    let config = serde_json::json!({ "auths": { scene.registry.host(): { "auth": auth } } });
    std::fs::write(scene.scratch.path().join("config.json"), config.to_string()).unwrap();
}

/// Wrong credentials, then right ones, without a restart.
fn credentials(auth: Auth) {
    let scene = Scene::guarded(auth);
    let config = scene.scratch.path().to_str().unwrap().to_owned();
    let scene = scene.set("DOCKER_CONFIG", &config).set("DOCKERLOADER_LOG", "trace");
    scene.push(&good("v1"));
    // None at all.
    let ended = scene.pull();
    assert_eq!(ended.code, Some(77), "{}", ended.all());
    ended.says(&[&scene.registry.host(), "not authorized to pull app", "docker login"]);
    assert_eq!(ended.result()["remedy"], "local");
    // Wrong ones.
    log_in(&scene, "hunter2");
    let words = [&*scene.registry.host(), "not authorized to pull app", "user", "config.json"];
    let ended = scene.pull();
    ended.says(&words);
    let secret = base64::engine::general_purpose::STANDARD.encode("user:hunter2");
    assert!(!ended.all().contains("hunter2") && !ended.all().contains(&secret), "{}", ended.all());
    cannot_install(&scene, &words);
    assert_eq!(scene.place.list("blobs"), [""; 0]);

    let mut supervisor = scene.start();
    supervisor.event("install_failed");
    log_in(&scene, "correct horse");
    supervisor.line("ready v1");
    assert!(!supervisor.lines().join("\n").contains("correct horse"));
    // And they are taken away again, while it runs.
    log_in(&scene, "hunter2");
    fails(&scene, 77, &words);
    assert!(!supervisor.lines().join("\n").contains("hunter2"));
}

#[test]
fn wrong_basic_credentials() {
    credentials(Auth::Basic { user: "user".into(), password: "correct horse".into() });
}

#[test]
fn wrong_bearer_credentials() {
    credentials(Auth::Bearer {
        credentials: Some(("user".into(), "correct horse".into())),
        lifetime: Duration::from_secs(60),
    });
}

#[test]
fn an_untrusted_certificate() {
    let scene = Scene::with(Registry::builder().tls().start(), Place::plain());
    scene.push(&good("v1"));
    let ended = scene.pull();
    assert_eq!(ended.code, Some(77), "{}", ended.all());
    ended.says(&[&scene.registry.host(), "certificate is not trusted", "DOCKERLOADER_CA_FILE"]);
    cannot_install(&scene, &["certificate is not trusted"]);
    let authority = scene.scratch.path().join("ca.pem");
    std::fs::write(&authority, scene.registry.ca_pem().unwrap()).unwrap();
    let scene = scene.set("DOCKERLOADER_CA_FILE", authority.to_str().unwrap());
    let mut supervisor = scene.start();
    supervisor.line("ready v1");
}

#[test]
fn a_file_of_certificates_that_is_none() {
    let scene = Scene::with(Registry::builder().tls().start(), Place::plain());
    scene.push(&good("v1"));
    let file = scene.scratch.path().join("ca.pem");
    std::fs::write(&file, "no certificate").unwrap();
    let scene = scene.set("DOCKERLOADER_CA_FILE", file.to_str().unwrap());
    let ended = scene.pull();
    assert_eq!(ended.code, Some(77), "{}", ended.all());
    ended.says(&["DOCKERLOADER_CA_FILE", file.to_str().unwrap(), "PEM"]);
}

#[test]
fn a_registry_that_is_overloaded_for_a_while() {
    let scene = Scene::new();
    scene.push(&good("v1"));
    scene.registry.fault(Rule::on(Kind::Manifest).any_method().times(2), Fault::status(503));
    let mut supervisor = scene.start();
    supervisor.line("ready v1");
    assert_eq!(supervisor.events("install_failed"), 0, "a passing error is waited out");
}
