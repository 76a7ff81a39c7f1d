//! Drift on a real engine: none after a creation, whatever the engine makes of it, and exactly what somebody has changed.

use deviced::engine::{ContainerId, Engine as _};
use deviced::labels;
use deviced::spec::{Spec, difference, drift, in_place};
use deviced::swap::Drift;
use serde_json::{Value, json};

use super::ground::Ground;

/// What the image says in these tests.
const CHANGES: &[&str] = &[
    "ENV FROM_IMAGE=1",
    "CMD [\"sleep\", \"1000\"]",
    "EXPOSE 70/tcp",
    "VOLUME /own",
    "WORKDIR /tmp",
    "USER 0",
    "LABEL of.image=yes",
];

/// What Docker alone can be told so.
const HEALTHCHECK: &str = "HEALTHCHECK --interval=1h CMD true";

const RANGE: &str = "127.0.0.1:41000-41900:80";

/// Runs of every kind. Each is created; those of which a start may change what the engine says are started as well.
pub(crate) fn table() -> Vec<Value> {
    vec![
        json!({"start": true}),
        json!({"command": "sleep 1001"}),
        json!({"command": ["sh", "-c", "sleep 1001"], "working_dir": "/", "user": "1000:1000", "group_add": ["44", "45"]}),
        json!({"entrypoint": ["sleep"], "command": "1001"}),
        json!({"entrypoint": [], "command": "sleep 1001"}),
        json!({"environment": {"LEVEL": "debug", "FROM_IMAGE": "2", "EMPTY": "", "EQUALS": "a=b=c"}}),
        json!({"init": true, "tty": true, "stdin_open": true, "start": true}),
        json!({"init": false}),
        json!({"restart": "no"}),
        json!({"restart": "always"}),
        json!({"restart": "on-failure:3"}),
        json!({"restart": "on-failure"}),
        json!({"healthcheck": {"test": ["CMD", "true"], "interval": "1h", "timeout": "3s", "retries": 2, "start_period": "10s", "start_interval": "2s"}, "start": true}),
        json!({"healthcheck": {"test": "true"}}),
        json!({"healthcheck": {"interval": "2h"}}),
        json!({"healthcheck": {"disable": true}}),
        json!({"stop_signal": "SIGTERM", "stop_grace_period": "3s"}),
        json!({"stop_signal": "15", "stop_grace_period": "0s"}),
        json!({"ports": ["127.0.0.1::80", "127.0.0.1::53/udp", "81"], "expose": ["90", "91-92/udp"], "start": true}),
        json!({"ports": [RANGE], "start": true}),
        json!({"networks": ["front"], "start": true}),
        json!({"networks": {"front": {"aliases": ["www", "api"]}, "back": {"priority": 5}}, "start": true}),
        json!({"networks": {"fixed": {"ipv4_address": subnet().1, "mac_address": "02:42:ac:11:00:07"}}, "start": true}),
        json!({"networks": ["default"], "start": true}),
        json!({"network_mode": "host", "start": true}),
        json!({"network_mode": "none", "start": true}),
        json!({"network_mode": "bridge", "start": true}),
        json!({"hostname": "web", "domainname": "example.org", "start": true}),
        json!({"mac_address": "02:42:ac:11:00:08", "start": true}),
        json!({"dns": ["9.9.9.9"], "dns_opt": ["ndots:2"], "dns_search": ["example.org", "example.net"], "extra_hosts": ["a:10.0.0.1", "b:::1", "c:host-gateway"]}),
        json!({"volumes": ["data:/d", "data:/e:ro,nocopy", "/anonymous", "/etc/hostname:/host:ro"], "start": true}),
        json!({"volumes": [
            {"type": "bind", "source": "/tmp", "target": "/t/", "bind": {"propagation": "rslave"}},
            {"type": "bind", "source": "/etc/", "target": "/e", "read_only": true},
            {"type": "volume", "source": "data", "target": "/d", "read_only": true},
            {"type": "tmpfs", "target": "/m", "tmpfs": {"size": "1m", "mode": 448}},
            {"type": "tmpfs", "target": "/n"},
        ]}),
        json!({"volumes": ["/tmp:/t:rslave"]}),
        json!({"tmpfs": ["/tmp:size=64m,mode=1777", "/scratch"], "read_only": true, "shm_size": "128m", "start": true}),
        json!({"devices": ["/dev/null:/dev/nothing:r", "/dev/zero"], "device_cgroup_rules": ["c 189:* rmw"], "start": true}),
        json!({"gpus": "all"}),
        json!({"gpus": [{"driver": "nvidia", "count": 1, "capabilities": ["utility"]}]}),
        json!({"cap_add": ["NET_ADMIN", "CAP_SYS_TIME"], "cap_drop": ["chown", "MKNOD"]}),
        json!({"cap_drop": ["ALL"]}),
        json!({"privileged": true}),
        json!({"security_opt": ["no-new-privileges:true", "seccomp=unconfined"]}),
        json!({"sysctls": {"net.ipv4.ip_unprivileged_port_start": 0}}),
        json!({"ipc": "private"}),
        json!({"ipc": "shareable"}),
        json!({"ipc": "host", "pid": "host", "uts": "host", "cgroup": "host", "userns_mode": "host", "start": true}),
        json!({"cgroup": "private"}),
        json!({"cpus": 0.5, "start": true}),
        json!({"cpu_period": "50ms", "cpu_quota": "20ms", "cpu_shares": 512, "cpuset": "0"}),
        json!({"mem_limit": "64m", "start": true}),
        json!({"mem_limit": "64m", "memswap_limit": "128m", "mem_reservation": "32m"}),
        json!({"mem_limit": "64m", "memswap_limit": -1, "mem_swappiness": 60, "oom_kill_disable": true}),
        json!({"oom_score_adj": 500, "pids_limit": 100}),
        json!({"pids_limit": -1}),
        json!({"ulimits": {"nofile": {"soft": 1024, "hard": 2048}, "core": 0}}),
        json!({"blkio_config": {"weight": 500}}),
        json!({"labels": {"com.example.a": "b", "empty": null, "of.image": "changed"}, "annotations": {"io.example": "1"}}),
        json!({"logging": {"driver": "json-file", "options": {"max-size": "1m", "max-file": 2}}}),
        json!({"logging": {"driver": "none"}, "start": true}),
        json!({"logging": {"options": {"max-size": "1m"}}}),
        json!({"runtime": "runc"}),
        json!({"platform": "linux/amd64"}),
    ]
}

async fn resources(ground: &Ground) {
    for network in ["front", "back"] {
        ground.engine.create_network(&ground.name(network), &json!({})).await.unwrap();
    }
}

/// Where nobody else is, most likely.
fn subnet() -> (String, String) {
    let own = std::process::id();
    let network = format!("10.{}.{}", 200 + own / 256 % 50, own % 256);
    (format!("{network}.0/24"), format!("{network}.5"))
}

/// What engines before 25 leave out, and kernels without that scheduler of block devices.
const BEYOND: &[&str] = &["healthcheck.start_interval", "annotations.io.example", "blkio_config.weight"];

/// How faithfully an engine says again what it was told.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Echo {
    /// All of it: there is no drift, even if nobody knew what the container was made from.
    Whole,
    /// Of the rest of it nothing can be said.
    OfWhatCanChange,
}

/// Created, and started when that is wanted, with what is found out about it before and after.
async fn no_drift(ground: &Ground, number: usize, mut run: Value, config: &Value, echo: Echo) -> Vec<String> {
    let start = run.as_object_mut().unwrap().remove("start").is_some();
    let spec = ground.spec(run.clone());
    let mut problems = Vec::new();
    let created = match ground.engine.create(&ground.new_container(&format!("c{number}"), &spec)).await {
        Ok(created) => created,
        // Podman 4 has no ranges to choose a port from.
        Err(error) if echo == Echo::OfWhatCanChange && run["ports"][0] == RANGE => {
            assert!(error.to_string().contains("41000-41900"), "{error}");
            return Vec::new();
        }
        Err(error) => return vec![format!("{run}: {error}")],
    };
    let mut look = async |when: &str| {
        let seen = ground.engine.inspect(&created.id).await.unwrap().body;
        let mut unlabelled = seen.clone();
        unlabelled["Config"]["Labels"].as_object_mut().unwrap().remove(labels::SPEC);
        for (what, seen, image) in [
            ("labelled", &seen, None),
            ("not labelled", &unlabelled, None),
            ("not labelled, image known", &unlabelled, Some(config)),
        ] {
            let mut found = drift(&spec, seen, image);
            if what != "labelled" {
                found.retain(|drift| !BEYOND.contains(&drift.field.as_str()));
            }
            if !found.is_empty() && (what == "labelled" || echo == Echo::Whole) {
                problems.push(format!("{run}, {when}, {what}: {found:?}"));
            }
        }
    };
    look("created").await;
    if start {
        if let Err(error) = ground.engine.start(&created.id).await {
            return vec![format!("{run}: {error}")];
        }
        look("started").await;
    }
    ground.cli(&["rm", "-f", "-v", &created.id.0]);
    problems
}

/// All of the table.
pub(crate) async fn whole_table_without_drift(ground: &mut Ground, changes: &[&str], echo: Echo) {
    resources(ground).await;
    let fixed = json!({"IPAM": {"Config": [{"Subnet": subnet().0}]}});
    ground.engine.create_network(&ground.name("fixed"), &fixed).await.unwrap();
    ground.image = ground.import(&ground.name("full"), &[CHANGES, changes].concat());
    let text = ground.cli(&["image", "inspect", &ground.image.0]);
    let config = serde_json::from_str::<Value>(&text).unwrap()[0]["Config"].take();
    let mut problems = Vec::new();
    for (number, run) in table().into_iter().enumerate() {
        problems.extend(no_drift(ground, number, run, &config, echo).await);
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[tokio::test]
async fn what_docker_makes_of_a_spec_is_no_drift() {
    let mut ground = Ground::docker("drift");
    whole_table_without_drift(&mut ground, &[HEALTHCHECK], Echo::Whole).await;
}

pub(crate) fn fields(drift: &[Drift]) -> Vec<&str> {
    drift.iter().map(|drift| drift.field.as_str()).collect()
}

#[tokio::test]
async fn what_somebody_changes_is_named_and_nothing_else() {
    let ground = Ground::docker("changed");
    resources(&ground).await;
    let (front, back) = (ground.name("front"), ground.name("back"));
    let run = json!({
        "command": "sleep 1000", "init": true, "networks": {"front": {"aliases": ["www"]}}, "mem_limit": "64m", "cpu_shares": 512,
        "environment": {"SECRET": "hunter2"}, "pids_limit": 50,
    });
    let spec = ground.spec(run);
    let id = ground.create("web", &spec).await.id;
    ground.engine.start(&id).await.unwrap();
    let look = async || drift(&spec, &ground.engine.inspect(&id).await.unwrap().body, None);
    assert_eq!(look().await, []);
    let mended = async |drift: &[Drift]| {
        let host_config = in_place(drift, &spec).expect("it can be mended in place");
        ground.engine.update(&id, &host_config).await.unwrap();
        assert_eq!(look().await, [], "{host_config}");
    };

    ground.cli(&["update", "--restart", "no", &id.0]);
    let found = look().await;
    assert_eq!(
        found,
        [Drift {
            field: "restart".to_owned(),
            wanted: Some("unless-stopped".to_owned()),
            found: Some("no".to_owned())
        }]
    );
    mended(&found).await;

    ground.cli(&[
        "update",
        "--memory",
        "100m",
        "--memory-swap",
        "200m",
        "--cpu-shares",
        "100",
        "--pids-limit",
        "7",
        &id.0,
    ]);
    let found = look().await;
    assert_eq!(fields(&found), ["cpu_shares", "mem_limit", "memswap_limit", "pids_limit"], "{found:?}");
    assert_eq!(found[1].wanted.as_deref().zip(found[1].found.as_deref()), Some(("64m", "100m")));
    mended(&found).await;

    // What the document does not limit.
    ground.cli(&["update", "--cpuset-cpus", "0", &id.0]);
    let found = look().await;
    assert_eq!(fields(&found), ["cpuset"]);
    assert_eq!(in_place(&found, &spec), None);
    ground.cli(&["rm", "-f", &id.0]);

    let id = ground.create("web", &spec).await.id;
    ground.engine.start(&id).await.unwrap();
    let look = async || drift(&spec, &ground.engine.inspect(&id).await.unwrap().body, None);
    let networks = |name: &str| format!("networks.{name}");
    ground.cli(&["network", "disconnect", &front, &id.0]);
    assert_eq!(
        look().await,
        [Drift { field: networks(&front), wanted: Some("attached".to_owned()), found: None }]
    );
    // By hand, without its other names.
    ground.cli(&["network", "connect", &front, &id.0]);
    assert_eq!(fields(&look().await), [format!("{}.aliases", networks(&front))]);
    ground.cli(&["network", "disconnect", &front, &id.0]);
    let endpoint = spec.get("/NetworkingConfig/EndpointsConfig").unwrap()[&front].clone();
    ground.engine.connect(&id, &front, &endpoint).await.unwrap();
    assert_eq!(look().await, []);
    ground.cli(&["network", "connect", &back, &id.0]);
    assert_eq!(
        look().await,
        [Drift { field: networks(&back), wanted: None, found: Some("attached".to_owned()) }]
    );
    ground.engine.disconnect(&id, &back).await.unwrap();
    assert_eq!(look().await, []);
    ground.cli(&["rm", "-f", &id.0]);
}

#[tokio::test]
async fn the_default_network_is_a_network_too() {
    let ground = Ground::docker("default");
    let spec = ground.spec(json!({"command": "sleep 1000", "init": true}));
    let id = ground.create("web", &spec).await.id;
    let look = async || drift(&spec, &ground.engine.inspect(&id).await.unwrap().body, None);
    ground.cli(&["network", "disconnect", "bridge", &id.0]);
    assert_eq!(
        look().await,
        [Drift { field: "networks.bridge".to_owned(), wanted: Some("attached".to_owned()), found: None }]
    );
    ground.engine.connect(&id, "bridge", &Value::Null).await.unwrap();
    assert_eq!(look().await, []);
}

/// Each field of another spec is found in the container of the first.
#[tokio::test]
async fn another_document_is_drift_in_its_own_words() {
    let ground = Ground::docker("other");
    let spec = ground.spec(json!({
        "command": "sleep 1000", "environment": {"A": "hunter2"}, "ports": ["127.0.0.1::80"], "cap_add": ["NET_ADMIN"], "privileged": false,
        "volumes": ["data:/d"], "mem_limit": "64m", "extra_hosts": ["a:10.0.0.1"], "labels": {"x": "1"}, "user": "1000", "hostname": "one",
    }));
    let id = ground.create("web", &spec).await.id;
    let seen = ground.engine.inspect(&id).await.unwrap().body;
    assert_eq!(drift(&spec, &seen, None), []);
    for (run, expected) in [
        (json!({"environment": {"A": "hunter3"}}), "environment.A"),
        (json!({"environment": {"A": "hunter2", "B": "2"}}), "environment.B"),
        (json!({"ports": ["127.0.0.1::81"]}), "ports"),
        (json!({"ports": []}), "ports"),
        (json!({"cap_add": ["NET_ADMIN", "SYS_TIME"]}), "cap_add"),
        (json!({"cap_add": []}), "cap_add"),
        (json!({"privileged": true}), "privileged"),
        (json!({"volumes": ["data:/d:ro"]}), "volumes./d"),
        (json!({"volumes": ["other:/d"]}), "volumes./d"),
        (json!({"volumes": []}), "volumes./d"),
        (json!({"volumes": ["data:/d", "data:/e"]}), "volumes./e"),
        (json!({"extra_hosts": ["a:10.0.0.2"]}), "extra_hosts"),
        (json!({"labels": {"x": "2"}}), "labels.x"),
        (json!({"user": "1001"}), "user"),
        (json!({"hostname": "two"}), "hostname"),
        (json!({"command": "sleep 1001"}), "command"),
        (json!({"read_only": true}), "read_only"),
        (json!({"restart": "no"}), "restart"),
        (json!({"mem_limit": "65m"}), "mem_limit"),
        (json!({"cpus": 1}), "cpus"),
        (json!({"network_mode": "host", "ports": []}), "network_mode"),
    ] {
        let mut all: Value = json!({
            "command": "sleep 1000", "environment": {"A": "hunter2"}, "ports": ["127.0.0.1::80"], "cap_add": ["NET_ADMIN"],
            "volumes": ["data:/d"], "mem_limit": "64m", "extra_hosts": ["a:10.0.0.1"], "labels": {"x": "1"}, "user": "1000", "hostname": "one",
        });
        all.as_object_mut().unwrap().extend(run.as_object().unwrap().clone());
        let other = ground.spec(all);
        for found in [drift(&other, &seen, None), difference(&spec, &other)] {
            let names = fields(&found);
            let others = ["memswap_limit", "ports", "expose", "networks.bridge"];
            let rest: Vec<_> =
                names.iter().filter(|name| **name != expected && !others.contains(name)).collect();
            assert!(names.contains(&expected) && rest.is_empty(), "{run}: {found:?}");
            assert!(!format!("{found:?}").contains("hunter"), "{found:?}");
        }
    }
}

/// A namespace of another container.
#[tokio::test]
async fn a_shared_namespace_is_compared_by_the_container() {
    let ground = Ground::docker("shared");
    let other = ground.running("other", json!({"ipc": "shareable", "volumes": ["data:/d"]})).await;
    let spec = ground.spec(json!({
        "command": "sleep 1000", "network_mode": "service:other", "ipc": "service:other", "pid": "service:other", "volumes_from": ["other:ro"],
    }));
    let id_of = |id: &str| (id == "other").then(|| other.clone());
    let resolved = deviced::spec::resolve(&spec, id_of).unwrap();
    let id = ground.create("web", &resolved).await.id;
    ground.engine.start(&id).await.unwrap();
    let seen = ground.engine.inspect(&id).await.unwrap().body;
    assert_eq!(drift(&resolved, &seen, None), []);
    assert_eq!(drift(&spec, &seen, None), []);
    let elsewhere = deviced::spec::resolve(&spec, |_| Some(ContainerId("4711".to_owned()))).unwrap();
    assert_eq!(fields(&drift(&elsewhere, &seen, None)), ["ipc", "network_mode", "pid", "volumes_from"]);
    let _: Spec = resolved;
}
