use serde_json::{Value, json};

use super::super::Spec;
use super::*;

fn spec(value: Value) -> Spec {
    serde_json::from_value(value).unwrap()
}

/// The names of what differs, with what the engine has: `Config`, `HostConfig`, `Networks`.
fn fields(wanted: Value, found: Value, image: Option<Value>) -> Vec<String> {
    let inspection = json!({
        "Config": found.get("Config").cloned().unwrap_or_else(|| json!({})),
        "HostConfig": found.get("HostConfig").cloned().unwrap_or_else(|| json!({})),
        "Mounts": found.get("Mounts").cloned().unwrap_or_else(|| json!([])),
        "NetworkSettings": {"Networks": found.get("Networks").cloned().unwrap_or_else(|| json!({"bridge": {}}))},
    });
    drift(&spec(wanted), &inspection, image.as_ref()).into_iter().map(|drift| drift.field).collect()
}

const NOTHING: [&str; 0] = [];

fn host(value: Value) -> Value {
    json!({ "HostConfig": value })
}

#[test]
fn the_engine_s_own_ways_of_writing_are_no_drift() {
    for (wanted, found) in [
        (json!({"CapAdd": ["NET_ADMIN"]}), json!({"CapAdd": ["CAP_NET_ADMIN"]})),
        (json!({"CapDrop": ["chown", "MKNOD"]}), json!({"CapDrop": ["MKNOD", "CAP_CHOWN"]})),
        (
            json!({"RestartPolicy": {"Name": "no"}}),
            json!({"RestartPolicy": {"Name": "", "MaximumRetryCount": 0}}),
        ),
        (
            json!({"SecurityOpt": ["no-new-privileges:true"]}),
            json!({"SecurityOpt": ["no-new-privileges", "label=disable"]}),
        ),
        (json!({"Privileged": true}), json!({"Privileged": true, "SecurityOpt": ["label=disable"]})),
        (json!({"Memory": 64}), json!({"Memory": 64, "MemorySwap": 128})),
        (json!({"Memory": 64}), json!({"Memory": 64, "MemorySwap": -1})),
        (
            json!({}),
            json!({"MemorySwap": 0, "MemorySwappiness": -1, "PidsLimit": 0, "OomKillDisable": false, "Ulimits": null}),
        ),
        (json!({"NanoCpus": 500}), json!({"NanoCpus": 500, "CpuPeriod": 100_000, "CpuQuota": 50})),
        (
            json!({"LogConfig": {"Config": {"max-size": "1m"}}}),
            json!({"LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "a": "b"}}}),
        ),
        (
            json!({}),
            json!({"LogConfig": {"Type": "journald", "Config": {}}, "ShmSize": 67_108_864, "Runtime": "runc", "IpcMode": "private"}),
        ),
        (
            json!({"Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}]}),
            json!({"Ulimits": [{"Name": "RLIMIT_NOFILE", "Soft": 1, "Hard": 2}]}),
        ),
        (json!({"Tmpfs": {"/t": "size=1m"}}), json!({"Tmpfs": {"/t": "size=1m,rw,nosuid"}})),
        (
            json!({"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "9000-9010"}, {"HostIp": "", "HostPort": "9005"}]}}),
            json!({"PortBindings": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "9005"}, {"HostIp": "0.0.0.0", "HostPort": "9001"}]}}),
        ),
        (
            json!({"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": ""}]}}),
            json!({"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "32768"}]}}),
        ),
        (json!({"NetworkMode": "service:vpn"}), json!({"NetworkMode": "container:4711"})),
        (json!({"VolumesFrom": ["service:db:ro"]}), json!({"VolumesFrom": ["4711:ro"]})),
    ] {
        assert_eq!(fields(host(wanted.clone()), host(found.clone()), None), NOTHING, "{wanted} {found}");
    }
}

#[test]
fn what_was_changed_is_named() {
    for (wanted, found, expected) in [
        (json!({"Memory": 64}), json!({"Memory": 65, "MemorySwap": 128}), &["mem_limit"][..]),
        (json!({"Memory": 64}), json!({"Memory": 64, "MemorySwap": 100}), &["memswap_limit"]),
        (json!({}), json!({"Memory": 65, "MemorySwap": 130}), &["mem_limit", "memswap_limit"]),
        (json!({"MemorySwap": 100}), json!({"MemorySwap": -1}), &["memswap_limit"]),
        (json!({"PidsLimit": 5}), json!({"PidsLimit": 6}), &["pids_limit"]),
        (json!({}), json!({"PidsLimit": 6}), &["pids_limit"]),
        (json!({}), json!({"Privileged": true}), &["privileged"]),
        (json!({}), json!({"CpusetCpus": "0"}), &["cpuset"]),
        (
            json!({"RestartPolicy": {"Name": "no"}}),
            json!({"RestartPolicy": {"Name": "always"}}),
            &["restart"],
        ),
        (json!({"SecurityOpt": ["a=b"]}), json!({"SecurityOpt": ["label=disable"]}), &["security_opt"]),
        (
            json!({"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "80"}]}}),
            json!({"PortBindings": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "80"}]}}),
            &["ports"],
        ),
        (json!({"NetworkMode": "container:1"}), json!({"NetworkMode": "container:2"}), &["network_mode"]),
        (json!({"Binds": ["/a:/b:ro"]}), json!({}), &["volumes./b"]),
    ] {
        assert_eq!(fields(host(wanted.clone()), host(found.clone()), None), expected, "{wanted} {found}");
    }
}

#[test]
fn mounts_are_compared_by_what_is_mounted() {
    let bind = |source: &str, writable: bool| json!([{"Type": "bind", "Source": source, "Destination": "/b", "RW": writable, "Propagation": "rprivate"}]);
    let volume = |name: &str| json!([{"Type": "volume", "Name": name, "Source": "/var/lib/x", "Destination": "/b", "RW": true}]);
    let named = json!({"Mounts": [{"Type": "volume", "Source": "data", "Target": "/b"}]});
    for (wanted, mounts, expected) in [
        (json!({"Binds": ["/a/:/b/:ro"]}), bind("/a", false), &[][..]),
        (json!({"Binds": ["/a:/b"]}), bind("/a", false), &["volumes./b"]),
        (json!({"Binds": ["/a:/b"]}), bind("/c", true), &["volumes./b"]),
        (json!({"Binds": ["/a:/b:rshared"]}), bind("/a", true), &["volumes./b"]),
        (named.clone(), volume("data"), &[]),
        (named.clone(), volume("other"), &["volumes./b"]),
        (named, bind("/data", true), &["volumes./b"]),
        (json!({"Mounts": [{"Type": "volume", "Target": "/b"}]}), volume(&"ab".repeat(32)), &[]),
        // The image's.
        (json!({}), volume(&"ab".repeat(32)), &[]),
        (json!({}), volume("data"), &["volumes./b"]),
        (json!({"VolumesFrom": ["service:db"]}), volume("data"), &["volumes_from"]),
        (
            json!({"Mounts": [{"Type": "tmpfs", "Target": "/b"}]}),
            json!([{"Type": "tmpfs", "Destination": "/b", "RW": true}]),
            &[],
        ),
        (json!({"Mounts": [{"Type": "tmpfs", "Target": "/b"}]}), json!([]), &["volumes./b"]),
    ] {
        let found = json!({"Mounts": mounts});
        assert_eq!(fields(host(wanted.clone()), found, None), expected, "{wanted} {mounts}");
    }
}

#[test]
fn what_the_image_says_is_no_drift() {
    let wanted = json!({"Env": ["A=1"], "Labels": {"x": "1"}, "Healthcheck": {"Interval": 5}});
    let found = json!({"Config": {
        "Env": ["A=1", "FROM_IMAGE=2", "PATH=/bin", "TERM=xterm"], "Labels": {"x": "1", "y": "2", "deviced.spec": "3"},
        "Healthcheck": {"Interval": 5, "Test": ["CMD", "true"]}, "Cmd": ["serve"], "User": "1", "WorkingDir": "/srv", "StopSignal": "SIGINT",
        "ExposedPorts": {"80/tcp": {}},
    }});
    let image = json!({
        "Env": ["FROM_IMAGE=2", "PATH=/bin"], "Labels": {"y": "2"}, "Healthcheck": {"Test": ["CMD", "true"]}, "Cmd": ["serve"], "User": "1",
        "WorkingDir": "/srv", "StopSignal": "INT", "ExposedPorts": {"80/tcp": {}},
    });
    assert_eq!(fields(wanted.clone(), found.clone(), None), NOTHING);
    assert_eq!(fields(wanted.clone(), found.clone(), Some(image)), NOTHING);
    // What neither of both says has to go.
    let expected = [
        "command",
        "environment.FROM_IMAGE",
        "expose",
        "healthcheck.test",
        "labels.y",
        "stop_signal",
        "user",
        "working_dir",
    ];
    assert_eq!(fields(wanted, found, Some(json!({}))), expected);
}

#[test]
fn a_container_of_this_very_spec_differs_only_in_what_can_be_changed() {
    let wanted = json!({
        "Env": ["A=1"], "StopSignal": "SIGINT",
        "HostConfig": {
            "Memory": 64, "MemorySwap": 128, "PidsLimit": 5, "CpuShares": 7, "BlkioWeight": 500, "Annotations": {"a": "b"}, "CapAdd": ["CHOWN"],
            "Binds": ["/a:/b"], "RestartPolicy": {"Name": "always"},
        },
    });
    let made_of = |label: &str| {
        json!({
            "Config": {"Labels": {"deviced.spec": label}, "Env": ["A=2"]},
            // What the kernel can't keep is left out.
            "HostConfig": {"MemorySwap": -1, "PidMode": "private", "CpuShares": 8, "RestartPolicy": {"Name": "no"}},
            "Networks": {"bridge": {}, "front": {}},
        })
    };
    let hash = spec(wanted.clone()).hash().0;
    assert_eq!(fields(wanted.clone(), made_of(&hash), None), ["cpu_shares", "networks.front", "restart"]);
    let all = [
        "annotations.a",
        "blkio_config.weight",
        "cap_add",
        "cpu_shares",
        "environment.A",
        "mem_limit",
        "memswap_limit",
        "networks.front",
        "pid",
        "pids_limit",
        "restart",
        "stop_signal",
        "volumes./b",
    ];
    assert_eq!(fields(wanted, made_of("another"), None), all);
}

#[test]
fn networks_are_named_once() {
    let wanted = json!({
        "HostConfig": {"NetworkMode": "a.front"},
        "NetworkingConfig": {"EndpointsConfig": {
            "a.front": {"Aliases": ["web"], "IPAMConfig": {"IPv4Address": "10.0.0.5"}, "DriverOpts": {"o.p": "1"}}, "back": {},
        }},
    });
    let front = json!({
        "Aliases": ["web", "4711"], "IPAMConfig": {"IPv4Address": "10.0.0.5"}, "IPAddress": "10.0.0.5", "MacAddress": "02:00:00:00:00:01",
        "DriverOpts": {"o.p": "1"},
    });
    let of = |networks: Value| {
        fields(wanted.clone(), json!({"Networks": networks, "HostConfig": {"NetworkMode": "a.front"}}), None)
    };
    assert_eq!(of(json!({"a.front": front, "back": {}})), NOTHING);
    assert_eq!(of(json!({"a.front": front})), ["networks.back"]);
    assert_eq!(of(json!({"back": {}})), ["networks.a.front"]);
    assert_eq!(
        of(
            json!({"a.front": front, "back": {}, "b.c": {"Aliases": ["x"], "MacAddress": "02:00:00:00:00:01"}})
        ),
        ["networks.b.c"]
    );
    // By hand, without anything.
    let bare = json!({"IPAddress": "10.0.0.9"});
    let expected =
        ["networks.a.front.aliases", "networks.a.front.driver_opts.o.p", "networks.a.front.ipv4_address"];
    assert_eq!(of(json!({"a.front": bare, "back": {}})), expected);
    // Engine 25 and later list all names apart; one that does not run has no address yet.
    let new =
        json!({"Aliases": null, "DNSNames": ["web", "4711"], "IPAddress": "", "DriverOpts": {"o.p": "1"}});
    assert_eq!(of(json!({"a.front": new, "back": {}})), NOTHING);
}

#[test]
fn the_default_network_has_many_names() {
    let of = |mode: &str, networks: Value| {
        fields(json!({}), json!({"Networks": networks, "HostConfig": {"NetworkMode": mode}}), None)
    };
    assert_eq!(of("default", json!({"bridge": {"IPAddress": "172.17.0.2"}})), NOTHING);
    assert_eq!(of("bridge", json!({"podman": {}})), NOTHING);
    assert_eq!(of("slirp4netns", json!({})), NOTHING);
    assert_eq!(of("default", json!({})), ["networks.bridge"]);
    assert_eq!(of("default", json!({"bridge": {}, "front": {}})), ["networks.front"]);
    let host_mode = host(json!({"NetworkMode": "host"}));
    assert_eq!(
        fields(
            host_mode.clone(),
            json!({"HostConfig": {"NetworkMode": "host"}, "Networks": {"host": {}}}),
            None
        ),
        NOTHING
    );
    assert_eq!(fields(host_mode, json!({"HostConfig": {"NetworkMode": "default"}}), None), ["network_mode"]);
}

#[test]
fn secrets_are_not_shown() {
    let value = |secret: &str| {
        spec(json!({
            "Env": [format!("A={secret}")], "HostConfig": {"LogConfig": {"Type": "splunk", "Config": {"splunk-token": secret}}},
        }))
    };
    let found = difference(&value("hunter2"), &value("hunter3"));
    assert_eq!(
        found.iter().map(|drift| drift.field.as_str()).collect::<Vec<_>>(),
        ["environment.A", "logging.options.splunk-token"]
    );
    assert!(!format!("{found:?}").contains("hunter"), "{found:?}");
}

#[test]
fn a_difference_that_has_no_word_is_a_difference_all_the_same() {
    let found = difference(&spec(json!({})), &spec(json!({"HostConfig": {"SomethingNew": 1}})));
    assert_eq!(found, [Drift { field: "run".to_owned(), wanted: None, found: None }]);
}

#[test]
fn an_inspection_that_is_none_does_not_panic() {
    for odd in
        [Value::Null, json!([]), json!({"Config": 3, "HostConfig": "x", "Mounts": {}, "NetworkSettings": []})]
    {
        drift(&spec(json!({"Env": ["A"], "HostConfig": {"Binds": ["x"]}})), &odd, Some(&odd));
    }
}
