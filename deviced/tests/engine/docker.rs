//! The adapter on a real Docker daemon.

use std::time::Duration;

use deviced::engine::{
    ContainerId, Deadlines, Docker, Engine as _, Error, Health, LogLine, LogRequest, Pull, State,
};
use deviced::spec::{network_body, volume_body};
use fixtures::engine_proxy::{Act, EngineProxy};
use fixtures::image::{Image, Layer};
use fixtures::registry::Registry;
use futures_util::StreamExt as _;
use serde_json::json;

use super::ground::Ground;

const LONG: Duration = Duration::from_secs(60);

/// Looks until it is so.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    let wait = async {
        loop {
            match look().await {
                Some(found) => return found,
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(LONG, wait).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

pub(crate) async fn lines(ground: &Ground, id: &ContainerId, what: &LogRequest) -> Vec<LogLine> {
    ground.engine.logs(id, what).map(|line| line.expect("a line")).collect().await
}

pub(crate) async fn until_exited(ground: &Ground, id: &ContainerId) -> i64 {
    until("its end", || async {
        let seen = ground.engine.inspect(id).await.expect("an inspection");
        (seen.state == State::Exited).then_some(seen.exit_code)
    })
    .await
}

#[tokio::test]
async fn what_the_engine_is() {
    let ground = Ground::docker("facts");
    let facts = ground.engine.facts().await.unwrap();
    let version = ground.cli(&[
        "version",
        "--format",
        "{{.Server.Version}} {{.Server.APIVersion}} {{.Server.Os}} {{.Server.Arch}}",
    ]);
    assert_eq!(
        version.trim(),
        format!("{} {} {} {}", facts.version, facts.api, facts.os, facts.architecture)
    );
    assert!(facts.name.contains("Docker"), "{facts:?}");
    assert_eq!(facts.root.as_deref(), Some(ground.cli(&["info", "--format", "{{.DockerRootDir}}"]).trim()));
}

#[tokio::test]
async fn a_life_from_creation_to_removal() {
    let ground = Ground::docker("life");
    let engine = &ground.engine;
    let spec = ground.spec(json!({
        "command": ["sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done"],
        "environment": {"A": "1"}, "labels": {"own": "label"}, "ports": ["127.0.0.1::80"], "networks": ["front"],
    }));
    // Not the engine's own network, which it may have been started without.
    let front = network_body("front", &serde_json::from_value(json!({})).unwrap());
    engine.create_network(&ground.name("front"), &front).await.unwrap();
    let created = ground.create("web", &spec).await;
    let id = &created.id;
    let in_list = async || {
        let all = engine.containers().await.unwrap();
        all.into_iter().find(|container| container.id == *id)
    };
    let listed = in_list().await.unwrap();
    assert_eq!(
        (listed.name.as_str(), listed.state, &listed.image_id),
        (ground.name("web").as_str(), State::Created, &ground.image)
    );
    assert_eq!((listed.labels["own"].as_str(), listed.labels["deviced.id"].as_str()), ("label", "web"));
    assert!(listed.ports.is_empty() && listed.created > 0);
    let made = listed.made().unwrap();
    assert_eq!((made.container.as_str(), made.spec), ("web", spec.hash()));

    // The name is taken.
    let again = engine.create(&ground.new_container("web", &spec)).await.unwrap_err();
    assert!(matches!(&again, Error::Conflict { message, .. } if message.contains("in use")), "{again:?}");

    engine.start(id).await.unwrap();
    engine.start(id).await.unwrap();
    let listed = in_list().await.unwrap();
    assert_eq!((listed.state, listed.ports.len(), listed.ports[0].target), (State::Running, 1, 80));
    assert!(listed.networks[&ground.name("front")].0.is_some(), "{listed:?}");
    assert_eq!(ground.seen(id)["Config"]["Env"][0], "A=1");
    let unremovable = engine.remove(id).await.unwrap_err();
    assert!(matches!(unremovable, Error::Conflict { .. }), "{unremovable:?}");
    // Its trap is set once it has said something.
    let follow = LogRequest { follow: true, ..LogRequest::default() };
    assert_eq!(engine.logs(id, &follow).next().await.unwrap().unwrap().text, "ready");

    let other = ground.name("other");
    engine.rename(id, &other).await.unwrap();
    engine.rename(id, &other).await.unwrap();
    assert_eq!(ground.seen(id)["Name"], format!("/{other}"));
    engine.stop(id, Some(Duration::from_secs(20))).await.unwrap();
    engine.stop(id, None).await.unwrap();
    let seen = engine.inspect(id).await.unwrap();
    assert_eq!((seen.state, seen.exit_code, seen.health, seen.restarts), (State::Exited, 7, None, 0));
    assert!(seen.started_at.starts_with("20") && !seen.out_of_memory && seen.error.is_empty(), "{seen:?}");

    engine.remove(id).await.unwrap();
    engine.remove(id).await.unwrap();
    engine.stop(id, None).await.unwrap();
    assert!(in_list().await.is_none());
    assert!(matches!(engine.inspect(id).await.unwrap_err(), Error::Missing { .. }));
    assert!(matches!(engine.start(id).await.unwrap_err(), Error::Missing { .. }));
}

#[tokio::test]
async fn a_stop_waits_for_the_container_s_own_grace() {
    let ground = Ground::docker("grace");
    // It ends a second and a half after the signal: later than a grace of one second, earlier than its own.
    let script = "trap 'sleep 1.5; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
    for (name, grace, expected) in [("own", None, 3), ("short", Some(Duration::from_secs(1)), 137)] {
        let spec = ground.spec(json!({"command": ["sh", "-c", script], "stop_grace_period": "20s"}));
        let id = ground.create(name, &spec).await.id;
        ground.engine.start(&id).await.unwrap();
        let follow = LogRequest { follow: true, ..LogRequest::default() };
        assert_eq!(ground.engine.logs(&id, &follow).next().await.unwrap().unwrap().text, "ready");
        ground.engine.stop(&id, grace).await.unwrap();
        assert_eq!(ground.engine.inspect(&id).await.unwrap().exit_code, expected, "{name}");
    }
}

#[tokio::test]
async fn networks_and_volumes() {
    let ground = Ground::docker("networks");
    let engine = &ground.engine;
    for name in ["front", "back"] {
        let body = network_body(name, &serde_json::from_value(json!({})).unwrap());
        engine.create_network(&ground.name(name), &body).await.unwrap();
    }
    let body = volume_body("data", &serde_json::from_value(json!({"labels": ["a=b"]})).unwrap());
    engine.create_volume(&ground.name("data"), &body).await.unwrap();
    engine.create_volume(&ground.name("data"), &body).await.unwrap();
    let networks = engine.networks().await.unwrap();
    let front = networks.iter().find(|network| network.name == ground.name("front")).unwrap();
    assert_eq!(front.labels["deviced.id"], "front");
    let again = engine.create_network(&ground.name("front"), &json!({})).await.unwrap_err();
    assert!(matches!(again, Error::Conflict { .. }), "{again:?}");
    let volumes = engine.volumes().await.unwrap();
    let data = volumes.iter().find(|volume| volume.name == ground.name("data")).unwrap();
    assert_eq!((data.labels["deviced.id"].as_str(), data.labels["a"].as_str()), ("data", "b"));

    // Both networks before the start, although this engine takes one at the creation.
    let run = json!({
        "command": "sleep 1000", "init": true, "networks": {"front": {"aliases": ["www"], "priority": 5}, "back": null}, "volumes": ["data:/d"],
    });
    let id = ground.create("web", &ground.spec(run)).await.id;
    let seen = ground.seen(&id);
    let aliases =
        |network: &str| seen["NetworkSettings"]["Networks"][ground.name(network)]["Aliases"].to_string();
    assert!(
        aliases("front").contains("\"www\"") && aliases("front").contains("\"web\""),
        "{}",
        aliases("front")
    );
    assert!(aliases("back").contains("\"web\""), "{}", aliases("back"));
    engine.start(&id).await.unwrap();
    let listed = engine.containers().await.unwrap().into_iter().find(|container| container.id == id).unwrap();
    assert!(
        listed.networks.len() == 2 && listed.networks.values().all(|address| address.0.is_some()),
        "{listed:?}"
    );
    assert_eq!(listed.network_mode, ground.name("front"));

    let back = ground.name("back");
    engine.disconnect(&id, &back).await.unwrap();
    engine.disconnect(&id, &back).await.unwrap();
    assert_eq!(ground.seen(&id)["NetworkSettings"]["Networks"].as_object().unwrap().len(), 1);
    engine.connect(&id, &back, &json!({"Aliases": ["web"]})).await.unwrap();
    engine.connect(&id, &back, &json!({"Aliases": ["web"]})).await.unwrap();
    assert_eq!(ground.seen(&id)["NetworkSettings"]["Networks"].as_object().unwrap().len(), 2);
    let busy = engine.remove_network(&back).await.unwrap_err();
    assert!(matches!(busy, Error::Refused { .. } | Error::Conflict { .. }), "{busy:?}");
    assert!(matches!(
        engine.connect(&id, &ground.name("none"), &json!({})).await.unwrap_err(),
        Error::Missing { .. }
    ));

    engine.stop(&id, Some(Duration::ZERO)).await.unwrap();
    engine.remove(&id).await.unwrap();
    engine.remove_network(&back).await.unwrap();
    engine.remove_network(&back).await.unwrap();
}

#[tokio::test]
async fn a_container_that_can_t_be_attached_to_all_its_networks_is_not_left_behind() {
    let ground = Ground::docker("unattached");
    ground.cli(&["network", "create", &ground.name("front")]);
    let absent = || {
        let names = ground.cli(&["ps", "-a", "--format", "{{.Names}}"]);
        assert!(!names.contains(&ground.name("web")), "{names}");
    };
    // Docker itself finds that out when the container is started.
    for networks in [json!({"front": {"priority": 1}, "gone": null}), json!({"gone": null})] {
        let spec = ground.spec(json!({"command": "true", "networks": networks}));
        let error = ground.engine.create(&ground.new_container("web", &spec)).await.unwrap_err();
        assert!(
            matches!(&error, Error::Missing { message, .. } if message.contains(&ground.name("gone"))),
            "{error:?}"
        );
        absent();
    }
    // It goes away after it has been looked for.
    ground.cli(&["network", "create", &ground.name("gone")]);
    let proxy = EngineProxy::before(&ground.socket);
    proxy.on("POST", "/networks/*/connect", Act::status(500, "no address is left"));
    let engine = Docker::new(proxy.socket().to_owned(), Deadlines::default());
    let spec = ground.spec(json!({"command": "true", "networks": {"front": {"priority": 1}, "gone": null}}));
    let error = engine.create(&ground.new_container("web", &spec)).await.unwrap_err();
    assert!(matches!(&error, Error::Failed { message, .. } if message == "no address is left"), "{error:?}");
    absent();
}

#[tokio::test]
async fn what_docker_refuses_is_refused_before_anything_is_there() {
    let ground = Ground::docker("refused");
    let missing = deviced::engine::ImageId(format!("sha256:{:064}", 7));
    let mut new = ground.new_container("web", &ground.spec(json!({})));
    new.spec = ground.spec(json!({"command": "true"}));
    new.image = missing;
    assert!(matches!(ground.engine.create(&new).await.unwrap_err(), Error::Missing { .. }));
    let spec = ground.spec(
        json!({"command": "true", "volumes": [{"type": "bind", "source": "/no/such/place", "target": "/d"}]}),
    );
    let error = ground.engine.create(&ground.new_container("web", &spec)).await.unwrap_err();
    assert!(
        matches!(&error, Error::Refused { message, .. } if message.contains("/no/such/place")),
        "{error:?}"
    );
    let spec = ground.spec(json!({"command": "/no/such/program"}));
    let id = ground.create("web", &spec).await.id;
    let error = ground.engine.start(&id).await.unwrap_err();
    assert!(error.to_string().contains("/no/such/program"), "{error}");
    assert!(!error.is_about_engine());
}

#[tokio::test]
async fn commands_in_containers() {
    let ground = Ground::docker("exec");
    let id = ground.running("web", json!({})).await;
    let exec = async |script: &str, timeout: Duration| {
        let command: Vec<_> = ["sh", "-c", script].into_iter().map(str::to_owned).collect();
        ground.engine.exec(&id, &command, timeout).await
    };
    let done = exec("echo one; echo two >&2; printf 'no end'; exit 75", LONG).await.unwrap();
    let mut said: Vec<_> = done.output.lines().collect();
    said.sort_unstable();
    assert_eq!((done.code, said), (75, vec!["no end", "one", "two"]));
    let long = exec("seq 1 100000", LONG).await.unwrap();
    assert!(long.code == 0 && long.output.len() <= 8 << 10 && long.output.ends_with("99999\n100000\n"));
    let missing = ground.engine.exec(&id, &["/no/such/program".to_owned()], LONG).await;
    assert!(
        missing
            .as_ref()
            .is_ok_and(|done| [126, 127].contains(&done.code) && done.output.contains("/no/such/program")),
        "{missing:?}"
    );
    let late = exec("sleep 30", Duration::from_millis(300)).await.unwrap_err();
    assert!(matches!(&late, Error::Failed { message, .. } if message.contains("0.3 s")), "{late:?}");
    ground.engine.stop(&id, Some(Duration::ZERO)).await.unwrap();
    assert!(matches!(exec("true", LONG).await.unwrap_err(), Error::Conflict { .. }));
}

#[tokio::test]
async fn output_is_read_as_it_was_written() {
    let ground = Ground::docker("logs");
    let script =
        "echo out; echo err >&2; printf '\\377\\000\\001\\n'; printf '%050000d\\n' 7; echo; printf last";
    for tty in [false, true] {
        let name = if tty { "tty" } else { "plain" };
        let spec = ground.spec(json!({"command": ["sh", "-c", script], "tty": tty, "restart": "no"}));
        let id = ground.create(name, &spec).await.id;
        ground.engine.start(&id).await.unwrap();
        until_exited(&ground, &id).await;
        let mut found = lines(&ground, &id, &LogRequest::default()).await;
        assert!(
            found.iter().all(|line| line.at.starts_with("20") && line.at.ends_with('Z')),
            "{tty}: {found:?}"
        );
        // Streams are read apart, a terminal has only one.
        if !tty {
            let errors: Vec<_> =
                found.iter().filter(|line| line.error).map(|line| line.text.clone()).collect();
            assert_eq!(errors, ["err"]);
            found.retain(|line| !line.error);
        } else {
            assert_eq!(found.remove(1).text, "err");
        }
        let texts: Vec<_> = found.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts[0], "out", "{tty}");
        assert_eq!(texts[1], "\u{fffd}\u{0}\u{1}", "{tty}");
        assert!(
            texts[2].len() == 16 << 10 && texts[2].bytes().all(|byte| byte == b'0'),
            "{tty}: {} {}",
            texts[2].len(),
            texts.len()
        );
        assert_eq!(&texts[texts.len() - 2..], ["", "last"], "{tty}");

        let tail = lines(&ground, &id, &LogRequest { tail: Some(1), ..LogRequest::default() }).await;
        assert_eq!(tail.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["last"], "{tty}");
        let since = LogRequest { since: Some(4_000_000_000), ..LogRequest::default() };
        assert!(lines(&ground, &id, &since).await.is_empty(), "{tty}");
    }
    let missing = ContainerId("0".repeat(64));
    let error = ground.engine.logs(&missing, &LogRequest::default()).next().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Missing { .. }), "{error:?}");
}

#[tokio::test]
async fn events_tell_what_happens() {
    let ground = Ground::docker("events");
    let mut events = ground.engine.events().await.unwrap();
    let spec = ground.spec(json!({
        "command": "sleep 1000", "init": true, "restart": "no",
        "healthcheck": {"test": "true", "interval": "100ms", "timeout": "5s", "retries": 1},
    }));
    let act = async {
        let id = ground.create("web", &spec).await.id;
        ground.engine.start(&id).await.unwrap();
        until("health", || async {
            let seen = ground.engine.inspect(&id).await.unwrap();
            (seen.health == Some(Health::Healthy)).then_some(())
        })
        .await;
        let listed = ground.engine.containers().await.unwrap();
        assert_eq!(listed.iter().find(|container| container.id == id).unwrap().health, Some(Health::Healthy));
        ground.engine.stop(&id, Some(Duration::ZERO)).await.unwrap();
        ground.engine.remove(&id).await.unwrap();
        id
    };
    let listen = async {
        let mut seen = Vec::new();
        while let Some(event) = events.next().await {
            let event = event.unwrap();
            if event.kind == "container" && event.attributes.get("deviced.test") == Some(&ground.prefix) {
                seen.push(event.clone());
                if event.action == "destroy" {
                    break;
                }
            }
        }
        seen
    };
    let (id, seen) = tokio::time::timeout(LONG, futures_util::future::join(act, listen)).await.unwrap();
    let actions: Vec<_> = seen.iter().map(|event| event.action.as_str()).collect();
    for action in ["create", "start", "health_status: healthy", "die", "destroy"] {
        assert!(actions.contains(&action), "{action}: {actions:?}");
    }
    assert!(actions.iter().all(|action| !action.starts_with("exec_")), "{actions:?}");
    assert!(seen.iter().all(|event| event.subject == id.0));
}

fn published(registry: &Registry, repository: &str) -> String {
    let layer = |seed: u64| Layer::new().file("data", 0o644, &fixtures::image::noise(seed, 200_000)).build();
    let image = Image::new().built_layer(layer(1)).built_layer(layer(2)).entrypoint(&["/data"]).build();
    registry.put(repository, "v1", &image);
    image.digest.clone()
}

#[tokio::test]
async fn images_are_pulled_by_digest_named_and_removed() {
    let ground = Ground::docker("pull");
    let registry = Registry::start();
    // Content of its own, so that nothing of it is there.
    let digest = published(&registry, &ground.prefix);
    let repository = registry.reference(&ground.prefix, "").trim_end_matches(':').to_owned();
    let pull =
        Pull { repository: repository.clone(), digest: digest.clone(), platform: None, credentials: None };
    let mut seen = Vec::new();
    let id = ground.engine.pull(&pull, &mut |progress| seen.push(progress)).await.unwrap();
    let last = seen.last().unwrap();
    assert_eq!((last.layers_done, last.layers_total), (2, 2), "{seen:?}");
    assert!(seen.windows(2).all(|two| two[0].done <= two[1].done), "{seen:?}");
    let images = ground.engine.images().await.unwrap();
    let image = images.iter().find(|image| image.id == id).unwrap();
    assert_eq!(image.digests, [format!("{repository}@{digest}")]);
    assert!(image.tags.is_empty() && image.size > 0, "{image:?}");

    let name = ground.name("kept");
    ground.engine.tag(&id, &name, "1").await.unwrap();
    ground.engine.remove_image(&format!("{repository}@{digest}")).await.unwrap();
    let images = ground.engine.images().await.unwrap();
    assert_eq!(images.iter().find(|image| image.id == id).unwrap().tags, [format!("{name}:1")]);
    ground.engine.remove_image(&format!("{name}:1")).await.unwrap();
    ground.engine.remove_image(&format!("{name}:1")).await.unwrap();
    assert!(ground.engine.images().await.unwrap().iter().all(|image| image.id != id));

    let missing = Pull { digest: format!("sha256:{:064}", 9), ..pull };
    let error = ground.engine.pull(&missing, &mut |_| {}).await.unwrap_err();
    assert!(
        matches!(error, Error::Missing { .. } | Error::Failed { .. }) && !error.is_about_engine(),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_error_after_the_engine_s_own_lines_fails_the_pull() {
    let ground = Ground::docker("torn");
    let registry = Registry::start();
    let digest = published(&registry, &ground.prefix);
    let repository = registry.reference(&ground.prefix, "").trim_end_matches(':').to_owned();
    let proxy = EngineProxy::before(&ground.socket);
    let engine = Docker::new(proxy.socket().to_owned(), Deadlines::default());
    let error = "{\"errorDetail\":{\"message\":\"failed to register layer: no space left on device\"},\"error\":\"x\"}\r\n";
    proxy.nth(1, "POST", "/images/create", Act::Append(error.to_owned()));
    proxy.nth(2, "POST", "/images/create", Act::CutAfter(100));
    let pull =
        Pull { repository: repository.clone(), digest: digest.clone(), platform: None, credentials: None };
    assert!(matches!(engine.pull(&pull, &mut |_| {}).await.unwrap_err(), Error::Full { .. }));
    assert!(matches!(engine.pull(&pull, &mut |_| {}).await.unwrap_err(), Error::Away { .. }));
    engine.pull(&pull, &mut |_| {}).await.unwrap();
    engine.remove_image(&format!("{repository}@{digest}")).await.unwrap();
}

/// What deviced knows of an engine's limits comes from asking it: not more than a call for each list.
#[tokio::test]
async fn a_look_at_everything_is_four_calls() {
    let ground = Ground::docker("calls");
    let _id = ground.running("web", json!({})).await;
    let proxy = EngineProxy::before(&ground.socket);
    let engine = Docker::new(proxy.socket().to_owned(), Deadlines::default());
    engine.facts().await.unwrap();
    let before = engine.calls();
    engine.containers().await.unwrap();
    engine.images().await.unwrap();
    engine.networks().await.unwrap();
    engine.volumes().await.unwrap();
    assert_eq!(engine.calls() - before, 4);
    assert_eq!(usize::try_from(engine.calls()).unwrap(), proxy.requests().len());
}
