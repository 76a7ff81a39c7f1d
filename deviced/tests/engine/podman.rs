//! The adapter on a real Podman: another engine that speaks Docker's API, in its own way.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use deviced::engine::{Deadlines, Docker, Engine as _, Error, Health, LogRequest, Pull, State};
use deviced::spec::{drift, network_body};
use fixtures::engine_proxy::EngineProxy;
use fixtures::image::{Image, Layer};
use fixtures::registry::Registry;
use futures_util::StreamExt as _;
use serde_json::json;

use super::docker::{lines, until, until_exited};
use super::drift::{Echo, whole_table_without_drift};
use super::ground::Ground;

/// Podman with a store of its own.
struct Podman {
    ground: Ground,
    // In this order: the service ends after what was made in it is gone.
    _service: Service,
}

struct Service {
    child: Child,
    directory: tempfile::TempDir,
}

impl Podman {
    async fn start(test: &str, registry: Option<&Registry>) -> Self {
        let directory = tempfile::Builder::new().prefix("podman").tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        let registries = registry.map_or_else(String::new, |registry| {
            format!("[[registry]]\nlocation = {:?}\ninsecure = true\n", host(registry))
        });
        std::fs::File::create(path("registries.conf"))
            .and_then(|mut file| std::io::Write::write_all(&mut file, registries.as_bytes()))
            .expect("a file");
        // Its default is more than a test may be allowed.
        std::fs::File::create(path("containers.conf"))
            .and_then(|mut file| {
                std::io::Write::write_all(
                    &mut file,
                    b"[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n",
                )
            })
            .expect("a file");
        let socket = path("socket");
        #[expect(clippy::disallowed_methods, reason = "the engine under test")]
        let child = Command::new("podman")
            .env("CONTAINERS_REGISTRIES_CONF", path("registries.conf"))
            .env("CONTAINERS_CONF", path("containers.conf"))
            .arg("--root")
            .arg(path("root"))
            .arg("--runroot")
            .arg(path("run"))
            .arg("--network-config-dir")
            .arg(path("networks"))
            .args([
                "--cgroup-manager",
                "cgroupfs",
                "--events-backend",
                "file",
                "system",
                "service",
                "--time=0",
            ])
            .arg(format!("unix://{}", socket.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("podman: apt-get install podman");
        let service = Service { child, directory };
        until("podman", async || tokio::net::UnixStream::connect(&socket).await.ok()).await;
        Self { ground: Ground::new(socket, test), _service: service }
    }
}

fn host(registry: &Registry) -> String {
    registry.reference("x", "y").split('/').next().expect("a host").to_owned()
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Its store is mounted on itself.
        fixtures::mounts::unmount_below(self.directory.path());
    }
}

#[tokio::test]
async fn what_podman_is() {
    let podman = Podman::start("facts", None).await;
    let facts = podman.ground.engine.facts().await.unwrap();
    assert_eq!((facts.name.as_str(), facts.os.as_str()), ("Podman Engine", "linux"), "{facts:?}");
    assert!(facts.root.is_some_and(|root| root.ends_with("/root")));
}

#[tokio::test]
async fn a_life_in_podman() {
    let podman = Podman::start("life", None).await;
    let ground = &podman.ground;
    let engine = &ground.engine;
    for name in ["front", "back"] {
        let body = network_body(name, &serde_json::from_value(json!({})).unwrap());
        engine.create_network(&ground.name(name), &body).await.unwrap();
    }
    engine.create_volume(&ground.name("data"), &json!({"Labels": {"deviced.id": "data"}})).await.unwrap();
    let spec = ground.spec(json!({
        "command": ["sh", "-c", "echo ready; echo error >&2; trap 'exit 7' TERM; while :; do sleep 0.05; done"],
        "networks": {"front": {"priority": 1}, "back": null}, "volumes": ["data:/d"], "environment": {"A": "1"}, "stop_grace_period": "20s",
        "healthcheck": {"test": "true", "interval": "1s"}, "restart": "no",
    }));
    let id = ground.create("web", &spec).await.id;
    let again = engine.create(&ground.new_container("web", &spec)).await.unwrap_err();
    assert!(matches!(again, Error::Conflict { .. } | Error::Failed { .. }), "{again:?}");
    let in_list =
        async || engine.containers().await.unwrap().into_iter().find(|container| container.id == id);
    let listed = in_list().await.unwrap();
    assert_eq!(
        (listed.state, listed.name.as_str(), &listed.image_id),
        (State::Created, ground.name("web").as_str(), &ground.image)
    );
    assert_eq!(listed.made().unwrap().spec, spec.hash());

    engine.start(&id).await.unwrap();
    engine.start(&id).await.unwrap();
    let listed = in_list().await.unwrap();
    assert_eq!(listed.state, State::Running);
    assert_eq!(listed.networks.len(), 2, "{listed:?}");
    assert!(listed.networks.values().all(|address| address.0.is_some()), "{listed:?}");
    let follow = LogRequest { follow: true, ..LogRequest::default() };
    assert_eq!(engine.logs(&id, &follow).next().await.unwrap().unwrap().text, "ready");
    let both = until("both lines", async || {
        Some(lines(ground, &id, &LogRequest::default()).await).filter(|lines| lines.len() == 2)
    })
    .await;
    assert!(
        both.iter().any(|line| line.error && line.text == "error")
            && both.iter().all(|line| line.at.starts_with("20")),
        "{both:?}"
    );

    let command: Vec<_> = ["sh", "-c", "echo one; exit 75"].into_iter().map(str::to_owned).collect();
    let done = engine.exec(&id, &command, Duration::from_secs(30)).await.unwrap();
    assert_eq!((done.code, done.output.as_str()), (75, "one\n"));
    // Where Podman takes a connection over, it does not say its name: it is no other engine for that.
    let proxy = EngineProxy::before(&ground.socket);
    let watched = Docker::new(proxy.socket().to_owned(), Deadlines::default());
    watched.exec(&id, &["true".to_owned()], Duration::from_secs(30)).await.unwrap();
    assert_eq!(proxy.count("GET", "/version"), 1);

    let seen = engine.inspect(&id).await.unwrap();
    assert_eq!((seen.state, seen.exit_code), (State::Running, 0));
    assert!(matches!(seen.health, Some(Health::Starting | Health::Healthy)), "{:?}", seen.body["State"]);
    assert_eq!(drift(&spec, &seen.body, None), []);

    let back = ground.name("back");
    engine.disconnect(&id, &back).await.unwrap();
    engine.disconnect(&id, &back).await.unwrap();
    let fields: Vec<_> = drift(&spec, &engine.inspect(&id).await.unwrap().body, None)
        .into_iter()
        .map(|drift| drift.field)
        .collect();
    assert_eq!(fields, [format!("networks.{back}")]);
    engine.connect(&id, &back, &json!({"Aliases": ["web"]})).await.unwrap();
    engine.connect(&id, &back, &json!({"Aliases": ["web"]})).await.unwrap();
    assert_eq!(drift(&spec, &engine.inspect(&id).await.unwrap().body, None), []);

    // Podman 4 changes nothing in place.
    let update = engine.update(&id, &json!({"RestartPolicy": {"Name": "always"}})).await;
    assert!(matches!(update, Ok(()) | Err(Error::Missing { .. })), "{update:?}");

    let other = ground.name("other");
    engine.rename(&id, &other).await.unwrap();
    engine.rename(&id, &other).await.unwrap();
    assert_eq!(in_list().await.unwrap().name, other);
    engine.stop(&id, None).await.unwrap();
    engine.stop(&id, None).await.unwrap();
    assert_eq!(until_exited(ground, &id).await, 7);
    engine.remove(&id).await.unwrap();
    engine.remove(&id).await.unwrap();
    assert!(in_list().await.is_none());
    engine.remove_network(&back).await.unwrap();
    engine.remove_network(&back).await.unwrap();
    assert!(matches!(engine.inspect(&id).await.unwrap_err(), Error::Missing { .. }));
    assert!(
        engine
            .volumes()
            .await
            .unwrap()
            .iter()
            .any(|volume| volume.labels.get("deviced.id").is_some_and(|id| id == "data"))
    );
}

#[tokio::test]
async fn podman_s_events_have_docker_s_words() {
    let podman = Podman::start("events", None).await;
    let ground = &podman.ground;
    let mut events = ground.engine.events().await.unwrap();
    let act = async {
        let id = ground.create("web", &ground.spec(json!({"command": "true", "restart": "no"}))).await.id;
        ground.engine.start(&id).await.unwrap();
        until_exited(ground, &id).await;
        ground.engine.remove(&id).await.unwrap();
        id
    };
    let listen = async {
        let mut seen = Vec::new();
        loop {
            let event = events.next().await.unwrap().unwrap();
            if event.kind == "container" {
                seen.push(event.clone());
                if event.action == "destroy" {
                    return seen;
                }
            }
        }
    };
    let both = futures_util::future::join(act, listen);
    let (id, seen) = tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
    let actions: Vec<_> =
        seen.iter().filter(|event| event.subject == id.0).map(|event| event.action.as_str()).collect();
    for action in ["create", "start", "die", "destroy"] {
        assert!(actions.contains(&action), "{action}: {actions:?}");
    }
}

#[tokio::test]
async fn what_podman_makes_of_a_spec_is_no_drift() {
    let mut podman = Podman::start("drift", None).await;
    whole_table_without_drift(&mut podman.ground, &[], Echo::OfWhatCanChange).await;
}

#[tokio::test]
async fn podman_pulls_by_digest() {
    let registry = Registry::start();
    let podman = Podman::start("pull", Some(&registry)).await;
    let layer = Layer::new().file("data", 0o644, &fixtures::image::noise(7, 100_000)).build();
    let image = Image::new().built_layer(layer).entrypoint(&["/data"]).build();
    registry.put("app", "v1", &image);
    let pull = Pull {
        repository: format!("{}/app", host(&registry)),
        digest: image.digest.clone(),
        platform: None,
        credentials: None,
    };
    let id = podman.ground.engine.pull(&pull, &mut |_| {}).await.unwrap();
    let images = podman.ground.engine.images().await.unwrap();
    let found = images.iter().find(|image| image.id == id).unwrap();
    assert_eq!(found.digests, [format!("{}@{}", pull.repository, pull.digest)]);
    let missing = Pull { digest: format!("sha256:{:064}", 9), ..pull };
    let error = podman.ground.engine.pull(&missing, &mut |_| {}).await.unwrap_err();
    assert!(matches!(error, Error::Missing { .. } | Error::Failed { .. }), "{error:?}");
}
