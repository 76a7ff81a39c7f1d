//! Answers of engines that are not here, written down from the history of their API (moby, `api/docs/CHANGELOG.md`), and served in this process.

use std::time::Duration;

use deviced::engine::{Container, ContainerId, Deadlines, Docker, Engine as _, Error, Health, State};
use deviced::spec::{Spec, drift};
use fixtures::engine_proxy::{Act, EngineProxy};
use serde_json::{Value, json};

/// Engines by their API: version, oldest and newest API, how they call themselves.
const ENGINES: &[(&str, &str, &str)] = &[
    ("1.24", "1.43", "Docker/24.0.9 (linux)"),
    ("1.24", "1.44", "Docker/25.0.5 (linux)"),
    ("1.24", "1.45", "Docker/26.1.4 (linux)"),
    ("1.24", "1.46", "Docker/27.1.2 (linux)"),
    ("1.24", "1.47", "Docker/27.5.1 (linux)"),
    ("1.24", "1.48", "Docker/28.0.4 (linux)"),
    ("1.24", "1.49", "Docker/28.1.1 (linux)"),
    ("1.24", "1.50", "Docker/28.2.2 (linux)"),
    ("1.24", "1.51", "Docker/28.5.1 (linux)"),
    ("1.44", "1.52", "Docker/29.0.0 (linux)"),
];

fn docker(engine: &EngineProxy) -> Docker {
    let deadlines = Deadlines {
        list: Duration::from_secs(5),
        change: Duration::from_secs(5),
        stop: Duration::from_secs(5),
        pull: Duration::from_secs(5),
    };
    Docker::new(engine.socket().to_owned(), deadlines)
}

fn minor(api: &str) -> u32 {
    api.split_once('.').unwrap().1.parse().unwrap()
}

const DIGEST: &str = "sha256:4bcff63911fcb4448bd4fdacec207030997caf25e9bea4045fa6c8c44de311d1";

/// An entry of the list of containers, as an engine with this API writes it.
fn entry(minor: u32) -> Value {
    let mut entry = json!({
        "Id": "8dfafdbc3a40", "Names": ["/web"], "Image": DIGEST, "ImageID": DIGEST, "Command": "/app", "Created": 1_790_000_000,
        "Ports": [
            {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
            {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        ],
        "Labels": {"deviced.id": "web"}, "State": "running", "Status": "Up 2 minutes (healthy)",
        "HostConfig": {"NetworkMode": "front"},
        "NetworkSettings": {"Networks": {"front": {
            "IPAMConfig": {}, "Links": null, "Aliases": null, "NetworkID": "9f", "EndpointID": "8e", "Gateway": "172.28.0.1",
            "IPAddress": "172.28.0.2", "IPPrefixLen": 16, "IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0,
            "MacAddress": "02:42:ac:1c:00:02", "DriverOpts": null,
        }}},
        "Mounts": [],
    });
    if minor >= 44 {
        entry["NetworkSettings"]["Networks"]["front"]["DNSNames"] = Value::Null;
    }
    if minor >= 46 {
        entry["HostConfig"]["Annotations"] = json!({"io.example": "1"});
    }
    if minor >= 48 {
        entry["NetworkSettings"]["Networks"]["front"]["GwPriority"] = json!(0);
        entry["ImageManifestDescriptor"] =
            json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": DIGEST, "size": 424});
    }
    if minor >= 52 {
        entry["Status"] = json!("Up 2 minutes");
        entry["Health"] = json!({"Status": "healthy", "FailingStreak": 0});
    }
    entry
}

/// An entry of the list of images.
fn image(minor: u32) -> Value {
    let mut image = json!({
        "Id": DIGEST, "Created": 1_790_000_000, "Size": 7_654_321, "Labels": null, "Containers": -1, "SharedSize": -1, "ParentId": "",
        "RepoTags": ["registry.example/acme/web:1.4.2"], "RepoDigests": [format!("registry.example/acme/web@{DIGEST}")],
    });
    if minor < 44 {
        image["VirtualSize"] = json!(7_654_321);
    }
    if minor >= 48 {
        image["Descriptor"] =
            json!({"mediaType": "application/vnd.oci.image.index.v1+json", "digest": DIGEST, "size": 856});
    }
    if minor >= 52 {
        // Not said, but allowed: what is empty may be left out.
        let members = image.as_object_mut().unwrap();
        members.remove("ParentId");
        members.remove("SharedSize");
        members.remove("Containers");
    }
    image
}

/// An inspection of a container that was made from [`spec`].
fn inspection(minor: u32) -> Value {
    let mut inspection = json!({
        "Id": "8dfafdbc3a40", "Created": "2026-11-26T07:34:30.123456789Z", "Path": "/app", "Args": [], "Image": DIGEST, "Name": "/web",
        "RestartCount": 1, "Driver": "overlay2", "Platform": "linux", "MountLabel": "", "ProcessLabel": "",
        "State": {
            "Status": "running", "Running": true, "Paused": false, "Restarting": false, "OOMKilled": false, "Dead": false, "Pid": 4711,
            "ExitCode": 0, "Error": "", "StartedAt": "2026-11-26T07:34:31.5Z", "FinishedAt": "0001-01-01T00:00:00Z",
            "Health": {"Status": "healthy", "FailingStreak": 0, "Log": null},
        },
        "HostConfig": {
            "Binds": ["/srv:/srv:ro"], "ContainerIDFile": "", "LogConfig": {"Type": "json-file", "Config": {}}, "NetworkMode": "front",
            "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}, "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
            "AutoRemove": false, "VolumesFrom": null, "CapAdd": ["NET_ADMIN"], "CapDrop": null, "CgroupnsMode": "private", "Dns": null,
            "IpcMode": "private", "Memory": 67_108_864, "MemorySwap": 134_217_728, "NanoCpus": 500_000_000, "PidsLimit": null,
            "Privileged": false, "ReadonlyRootfs": false, "ShmSize": 67_108_864, "Runtime": "runc", "Ulimits": null, "OomKillDisable": null,
            "MaskedPaths": ["/proc/asound"], "ReadonlyPaths": ["/proc/bus"],
        },
        "Mounts": [{"Type": "bind", "Source": "/srv", "Destination": "/srv", "Mode": "ro", "RW": false, "Propagation": "rprivate"}],
        "Config": {
            "Hostname": "8dfafdbc3a40", "Domainname": "", "User": "", "AttachStdin": false, "ExposedPorts": {"80/tcp": {}}, "Tty": false,
            "Env": ["LEVEL=1", "PATH=/bin"], "Cmd": ["/app"], "Image": DIGEST, "Volumes": null, "WorkingDir": "/", "Entrypoint": null,
            "OnBuild": null, "Labels": {"deviced.id": "web"},
        },
        "NetworkSettings": {"Networks": {"front": {
            "IPAMConfig": null, "Links": null, "Aliases": ["web"], "NetworkID": "9f", "EndpointID": "8e", "Gateway": "172.28.0.1",
            "IPAddress": "172.28.0.2", "IPPrefixLen": 16, "MacAddress": "02:42:ac:1c:00:02", "DriverOpts": null,
        }}},
    });
    if minor < 45 {
        // With the engine's own.
        inspection["NetworkSettings"]["Networks"]["front"]["Aliases"] = json!(["web", "8dfafdbc3a40"]);
    }
    if minor >= 44 {
        inspection["NetworkSettings"]["Networks"]["front"]["DNSNames"] = json!(["web", "8dfafdbc3a40"]);
        inspection["NetworkSettings"]["Networks"]["front"]["IPAMConfig"] = json!({});
    }
    if minor < 52 {
        inspection["NetworkSettings"]["Bridge"] = json!("");
        inspection["NetworkSettings"]["IPAddress"] = json!("");
        inspection["GraphDriver"] = json!({"Name": "overlay2", "Data": {}});
    } else {
        // The store is containerd's. Names of capabilities may be written in full.
        inspection["HostConfig"]["CapAdd"] = json!(["CAP_NET_ADMIN"]);
        inspection["Storage"] = json!({"RootFS": {"Snapshot": {"Name": "overlayfs"}}});
        inspection["ImageManifestDescriptor"] = json!({"digest": DIGEST, "size": 424});
        let config = inspection["Config"].as_object_mut().unwrap();
        ["Domainname", "AttachStdin", "Tty", "User", "OnBuild", "Volumes"].into_iter().for_each(|name| {
            config.remove(name);
        });
    }
    inspection
}

fn spec() -> Spec {
    serde_json::from_value(json!({
        "Env": ["LEVEL=1"], "ExposedPorts": {"80/tcp": {}},
        "HostConfig": {
            "Binds": ["/srv:/srv:ro"], "CapAdd": ["NET_ADMIN"], "Memory": 67_108_864, "NanoCpus": 500_000_000, "NetworkMode": "front",
            "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}, "RestartPolicy": {"Name": "unless-stopped"},
        },
        "NetworkingConfig": {"EndpointsConfig": {"front": {"Aliases": ["web"]}}},
    }))
    .unwrap()
}

fn check(container: &Container) {
    assert_eq!(
        (container.name.as_str(), container.state, container.health),
        ("web", State::Running, Some(Health::Healthy))
    );
    assert_eq!(container.labels["deviced.id"], "web");
    assert_eq!(
        (container.ports.len(), container.ports[0].published, container.ports[0].address),
        (1, 8080, None)
    );
    assert_eq!(container.networks["front"].0.unwrap().to_string(), "172.28.0.2");
}

#[tokio::test]
async fn engines_24_to_29_read_the_same() {
    for (oldest, newest, server) in ENGINES {
        let minor = minor(newest);
        let engine = EngineProxy::alone();
        engine.speak(oldest, newest, server);
        engine.on("GET", "/info", Act::json(json!({"DockerRootDir": "/var/lib/docker"})));
        engine.on("GET", "/containers/json", Act::json(json!([entry(minor)])));
        engine.on("GET", "/images/json", Act::json(json!([image(minor)])));
        engine.on("GET", "/networks", Act::json(json!([{"Name": "front", "Id": "9f", "Labels": {}}])));
        engine.on("GET", "/volumes", Act::json(json!({"Volumes": null, "Warnings": null})));
        engine.on("GET", "/containers/*/json", Act::json(inspection(minor)));
        let docker = docker(&engine);

        let facts = docker.facts().await.unwrap();
        assert_eq!(
            (facts.api.as_str(), facts.root.as_deref()),
            (*newest, Some("/var/lib/docker")),
            "{server}"
        );
        let containers = docker.containers().await.unwrap();
        assert_eq!(containers.len(), 1, "{server}");
        check(&containers[0]);
        let images = docker.images().await.unwrap();
        assert_eq!(
            (images[0].tags.len(), images[0].digests.len(), images[0].size),
            (1, 1, 7_654_321),
            "{server}"
        );
        assert_eq!(docker.networks().await.unwrap()[0].name, "front", "{server}");
        assert!(docker.volumes().await.unwrap().is_empty(), "{server}");
        let inspected = docker.inspect(&ContainerId("8dfafdbc3a40".to_owned())).await.unwrap();
        assert_eq!(
            (inspected.state, inspected.health, inspected.restarts),
            (State::Running, Some(Health::Healthy), 1),
            "{server}"
        );
        assert_eq!(drift(&spec(), &inspected.body, None), [], "{server}");

        let spoken: Vec<_> = engine.requests().into_iter().filter_map(|seen| seen.api).collect();
        assert!(!spoken.is_empty() && spoken.iter().all(|api| api == newest), "{server}: {spoken:?}");
        assert_eq!(usize::try_from(docker.calls()).unwrap(), engine.requests().len(), "{server}");
    }
}

#[tokio::test]
async fn all_networks_are_given_at_once_to_those_that_take_them() {
    for (oldest, newest, server) in ENGINES {
        let engine = EngineProxy::alone();
        engine.speak(oldest, newest, server);
        engine.on(
            "GET",
            "/networks",
            Act::json(json!([{"Name": "front", "Id": "9f"}, {"Name": "back", "Id": "8e"}])),
        );
        engine.on(
            "POST",
            "/containers/create",
            Act::Answer { status: 201, body: r#"{"Id":"1","Warnings":null}"#.to_owned() },
        );
        engine.on("POST", "/networks/*/connect", Act::Answer { status: 200, body: String::new() });
        let spec = serde_json::from_value(json!({
            "HostConfig": {"NetworkMode": "front"},
            "NetworkingConfig": {"EndpointsConfig": {"front": {}, "back": {"Aliases": ["web"]}}},
        }));
        let new = deviced::engine::NewContainer {
            name: "web".to_owned(),
            image: deviced::engine::ImageId(DIGEST.to_owned()),
            spec: spec.unwrap(),
            labels: std::collections::BTreeMap::new(),
        };
        docker(&engine).create(&new).await.unwrap();
        let requests = engine.requests();
        let body = |path: &str| -> Vec<Value> {
            let of = requests.iter().filter(|seen| seen.path == path);
            of.map(|seen| serde_json::from_str(&seen.body).unwrap()).collect()
        };
        let given =
            body("/containers/create")[0]["NetworkingConfig"]["EndpointsConfig"].as_object().unwrap().len();
        let connected = body("/networks/back/connect");
        if minor(newest) >= 44 {
            assert_eq!((given, connected.len()), (2, 0), "{server}");
        } else {
            assert_eq!(given, 1, "{server}");
            assert_eq!(
                connected,
                [json!({"Container": "1", "EndpointConfig": {"Aliases": ["web"]}})],
                "{server}"
            );
        }
    }
}

#[tokio::test]
async fn an_engine_that_was_replaced_is_asked_again_what_it_speaks() {
    let engine = EngineProxy::alone();
    let list = Act::json("[]");
    engine.on("GET", "/containers/json", list);
    engine.on("POST", "/containers/*/start", Act::Answer { status: 204, body: String::new() });
    engine.speak("1.12", "1.41", "Docker/20.10.24 (linux)");
    let docker = docker(&engine);
    let id = ContainerId("4711".to_owned());
    docker.containers().await.unwrap();
    docker.containers().await.unwrap();
    assert_eq!(engine.count("GET", "/version"), 1);

    // Engine 29 refuses what 20.10 spoke; a command is done once all the same.
    engine.speak("1.44", "1.52", "Docker/29.0.0 (linux)");
    docker.start(&id).await.unwrap();
    let starts: Vec<_> = engine.requests().into_iter().filter(|seen| seen.path.ends_with("/start")).collect();
    assert_eq!(starts.iter().filter_map(|seen| seen.api.as_deref()).collect::<Vec<_>>(), ["1.41", "1.52"]);
    assert_eq!(engine.count("GET", "/version"), 2);

    // And back: the newer version is refused by the older engine.
    engine.speak("1.12", "1.41", "Docker/20.10.24 (linux)");
    docker.containers().await.unwrap();
    assert_eq!(engine.requests().last().unwrap().api.as_deref(), Some("1.41"));

    // One that speaks the same version is noticed by its name, and asked before the next request.
    engine.speak("1.24", "1.43", "Docker/24.0.9 (linux)");
    let before = engine.count("GET", "/version");
    docker.containers().await.unwrap();
    docker.containers().await.unwrap();
    assert_eq!(engine.count("GET", "/version"), before + 1);
    assert_eq!(engine.requests().last().unwrap().api.as_deref(), Some("1.43"));
}

#[tokio::test]
async fn an_engine_with_no_common_version_is_told_in_a_sentence() {
    let engine = EngineProxy::alone();
    engine.speak("1.60", "1.70", "Docker/40.0.0 (linux)");
    let error = docker(&engine).containers().await.unwrap_err();
    assert!(matches!(error, Error::Answer { .. }) && error.is_about_engine(), "{error:?}");
    assert!(
        error.to_string().ends_with("it speaks API 1.60 at least, deviced knows 1.52; update deviced"),
        "{error}"
    );
}
