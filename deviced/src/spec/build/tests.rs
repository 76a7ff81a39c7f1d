use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::difference;
use super::*;

/// Every field of `run`: a value for it, and what a spec has because of it.
pub(crate) fn rows() -> Vec<(&'static str, Value, Value)> {
    let host = |value: Value| json!({"HostConfig": value});
    let second = 1_000_000_000_i64;
    vec![
        ("command", json!("serve --port 80"), json!({"Cmd": ["serve", "--port", "80"]})),
        ("entrypoint", json!(["/bin/app"]), json!({"Entrypoint": ["/bin/app"]})),
        ("working_dir", json!("/srv"), json!({"WorkingDir": "/srv"})),
        ("user", json!(1000), json!({"User": "1000"})),
        ("group_add", json!(["video", 44]), host(json!({"GroupAdd": ["video", "44"]}))),
        (
            "environment",
            json!({"A": "1", "OURS": null, "NOBODYS": null}),
            json!({"Env": ["A=1", "OURS=ours"]}),
        ),
        ("env_file", json!("/etc/app.env"), json!({"Env": ["FROM_FILE=1"]})),
        ("init", json!(true), host(json!({"Init": true}))),
        ("tty", json!(true), json!({"Tty": true})),
        ("stdin_open", json!(true), json!({"OpenStdin": true})),
        (
            "restart",
            json!("on-failure:3"),
            host(json!({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}})),
        ),
        ("depends_on", json!(["db"]), json!({})),
        (
            "healthcheck",
            json!({"test": "wget -q localhost", "interval": "10s", "timeout": "2s", "retries": 4, "start_period": "1m", "start_interval": "1s"}),
            json!({"Healthcheck": {
                "Test": ["CMD-SHELL", "wget -q localhost"], "Interval": 10 * second, "Timeout": 2 * second, "Retries": 4,
                "StartPeriod": 60 * second, "StartInterval": second,
            }}),
        ),
        ("stop_signal", json!("SIGINT"), json!({"StopSignal": "SIGINT"})),
        ("stop_grace_period", json!("1500ms"), json!({"StopTimeout": 2})),
        (
            "ports",
            json!(["8080:80", "127.0.0.1:53:53/udp", "9000-9001:9000-9001", 22]),
            json!({
                "ExposedPorts": {"80/tcp": {}, "53/udp": {}, "9000/tcp": {}, "9001/tcp": {}, "22/tcp": {}},
                "HostConfig": {"PortBindings": {
                    "80/tcp": [{"HostIp": "", "HostPort": "8080"}], "53/udp": [{"HostIp": "127.0.0.1", "HostPort": "53"}],
                    "9000/tcp": [{"HostIp": "", "HostPort": "9000"}], "9001/tcp": [{"HostIp": "", "HostPort": "9001"}],
                    "22/tcp": [{"HostIp": "", "HostPort": ""}],
                }},
            }),
        ),
        (
            "expose",
            json!([80, "90-91/udp"]),
            json!({"ExposedPorts": {"80/tcp": {}, "90/udp": {}, "91/udp": {}}}),
        ),
        (
            "networks",
            json!({"back": null, "front": {
                "aliases": ["www"], "ipv4_address": "172.28.0.5", "ipv6_address": "fd00::5", "link_local_ips": ["169.254.1.1"],
                "mac_address": "02:42:ac:11:00:03", "priority": 10, "driver_opts": {"a": "b"},
            }}),
            json!({
                "HostConfig": {"NetworkMode": "acme_front"},
                "NetworkingConfig": {"EndpointsConfig": {
                    "acme_front": {
                        "Aliases": ["web", "www"],
                        "IPAMConfig": {"IPv4Address": "172.28.0.5", "IPv6Address": "fd00::5", "LinkLocalIPs": ["169.254.1.1"]},
                        "MacAddress": "02:42:ac:11:00:03",
                        "DriverOpts": {"a": "b"},
                    },
                    "back": {"Aliases": ["web"]},
                }},
            }),
        ),
        ("network_mode", json!("service:vpn"), host(json!({"NetworkMode": "service:vpn"}))),
        ("hostname", json!("web"), json!({"Hostname": "web"})),
        ("domainname", json!("example.org"), json!({"Domainname": "example.org"})),
        ("mac_address", json!("02:42:ac:11:00:02"), json!({"MacAddress": "02:42:ac:11:00:02"})),
        ("dns", json!("9.9.9.9"), host(json!({"Dns": ["9.9.9.9"]}))),
        ("dns_opt", json!(["ndots:2"]), host(json!({"DnsOptions": ["ndots:2"]}))),
        ("dns_search", json!("example.org"), host(json!({"DnsSearch": ["example.org"]}))),
        (
            "extra_hosts",
            json!({"a": "10.0.0.1", "b": "::1"}),
            host(json!({"ExtraHosts": ["a:10.0.0.1", "b:::1"]})),
        ),
        (
            "volumes",
            json!([
                "data:/d:ro,nocopy", "/own", "/etc/app:/etc/app:ro,rshared,Z",
                {"type": "bind", "source": "/srv", "target": "/srv", "bind": {"propagation": "slave"}},
                {"type": "volume", "source": "data", "target": "/part", "volume": {"subpath": "a/b"}},
                {"type": "tmpfs", "target": "/run", "tmpfs": {"size": "64m", "mode": 448}},
            ]),
            host(json!({
                "Binds": ["/etc/app:/etc/app:ro,rshared,Z"],
                "Mounts": [
                    {"Type": "volume", "Target": "/d", "Source": "acme_data", "ReadOnly": true, "VolumeOptions": {"NoCopy": true}},
                    {"Type": "volume", "Target": "/own"},
                    {"Type": "bind", "Target": "/srv", "Source": "/srv", "BindOptions": {"Propagation": "slave"}},
                    {"Type": "volume", "Target": "/part", "Source": "acme_data", "VolumeOptions": {"Subpath": "a/b"}},
                    {"Type": "tmpfs", "Target": "/run", "TmpfsOptions": {"SizeBytes": 64 << 20, "Mode": 448}},
                ],
            })),
        ),
        (
            "volumes_from",
            json!(["db:ro", "vpn"]),
            host(json!({"VolumesFrom": ["service:db:ro", "service:vpn"]})),
        ),
        (
            "tmpfs",
            json!(["/tmp:size=64m,mode=1777", "/run"]),
            host(json!({"Tmpfs": {"/tmp": "size=64m,mode=1777", "/run": ""}})),
        ),
        ("read_only", json!(true), host(json!({"ReadonlyRootfs": true}))),
        ("shm_size", json!("128m"), host(json!({"ShmSize": 128 << 20}))),
        ("storage_opt", json!({"size": "20G"}), host(json!({"StorageOpt": {"size": "20G"}}))),
        (
            "devices",
            json!(["/dev/fuse", "/dev/null:/dev/nothing:r"]),
            host(json!({"Devices": [
                {"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"},
                {"PathOnHost": "/dev/null", "PathInContainer": "/dev/nothing", "CgroupPermissions": "r"},
            ]})),
        ),
        ("device_cgroup_rules", json!(["c 189:* rmw"]), host(json!({"DeviceCgroupRules": ["c 189:* rmw"]}))),
        ("gpus", json!("all"), host(json!({"DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}]}))),
        ("cap_add", json!(["NET_ADMIN"]), host(json!({"CapAdd": ["NET_ADMIN"]}))),
        ("cap_drop", json!(["ALL"]), host(json!({"CapDrop": ["ALL"]}))),
        ("privileged", json!(true), host(json!({"Privileged": true}))),
        (
            "security_opt",
            json!(["no-new-privileges:true", "seccomp=/etc/profile.json", "apparmor=unconfined"]),
            host(
                json!({"SecurityOpt": ["no-new-privileges:true", "seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}", "apparmor=unconfined"]}),
            ),
        ),
        (
            "sysctls",
            json!({"net.core.somaxconn": 1024}),
            host(json!({"Sysctls": {"net.core.somaxconn": "1024"}})),
        ),
        ("ipc", json!("shareable"), host(json!({"IpcMode": "shareable"}))),
        ("pid", json!("host"), host(json!({"PidMode": "host"}))),
        ("uts", json!("host"), host(json!({"UTSMode": "host"}))),
        ("userns_mode", json!("host"), host(json!({"UsernsMode": "host"}))),
        ("cgroup", json!("private"), host(json!({"CgroupnsMode": "private"}))),
        ("cgroup_parent", json!("/acme"), host(json!({"CgroupParent": "/acme"}))),
        ("cpus", json!(1.5), host(json!({"NanoCpus": 3 * second / 2}))),
        ("cpuset", json!(0), host(json!({"CpusetCpus": "0"}))),
        ("cpu_shares", json!(512), host(json!({"CpuShares": 512}))),
        ("cpu_period", json!("50ms"), host(json!({"CpuPeriod": 50_000}))),
        ("cpu_quota", json!("20ms"), host(json!({"CpuQuota": 20_000}))),
        ("cpu_rt_period", json!("1s"), host(json!({"CpuRealtimePeriod": 1_000_000}))),
        ("cpu_rt_runtime", json!("200ms"), host(json!({"CpuRealtimeRuntime": 200_000}))),
        ("mem_limit", json!("64m"), host(json!({"Memory": 64 << 20}))),
        ("mem_reservation", json!("32m"), host(json!({"MemoryReservation": 32 << 20}))),
        ("memswap_limit", json!(-1), host(json!({"MemorySwap": -1}))),
        ("mem_swappiness", json!(0), host(json!({"MemorySwappiness": 0}))),
        ("oom_kill_disable", json!(true), host(json!({"OomKillDisable": true}))),
        ("oom_score_adj", json!(500), host(json!({"OomScoreAdj": 500}))),
        ("pids_limit", json!(100), host(json!({"PidsLimit": 100}))),
        (
            "ulimits",
            json!({"nofile": {"soft": 1024, "hard": 2048}, "core": 0}),
            host(
                json!({"Ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}, {"Name": "nofile", "Soft": 1024, "Hard": 2048}]}),
            ),
        ),
        (
            "blkio_config",
            json!({
                "weight": 500, "weight_device": [{"path": "/dev/sda", "weight": 400}], "device_read_bps": [{"path": "/dev/sda", "rate": "1m"}],
                "device_read_iops": [{"path": "/dev/sda", "rate": 10}], "device_write_bps": [{"path": "/dev/sda", "rate": "2m"}],
                "device_write_iops": [{"path": "/dev/sda", "rate": 20}],
            }),
            host(json!({
                "BlkioWeight": 500, "BlkioWeightDevice": [{"Path": "/dev/sda", "Weight": 400}],
                "BlkioDeviceReadBps": [{"Path": "/dev/sda", "Rate": 1 << 20}], "BlkioDeviceReadIOps": [{"Path": "/dev/sda", "Rate": 10}],
                "BlkioDeviceWriteBps": [{"Path": "/dev/sda", "Rate": 2 << 20}], "BlkioDeviceWriteIOps": [{"Path": "/dev/sda", "Rate": 20}],
            })),
        ),
        (
            "labels",
            json!({"com.example.a": "b", "c": null}),
            json!({"Labels": {"com.example.a": "b", "c": ""}}),
        ),
        ("annotations", json!({"a": "b"}), host(json!({"Annotations": {"a": "b"}}))),
        (
            "logging",
            json!({"driver": "json-file", "options": {"max-size": "1m", "max-file": 2}}),
            host(json!({"LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}}})),
        ),
        ("platform", json!("linux/arm64"), json!({"Platform": "linux/arm64"})),
        ("runtime", json!("runc"), host(json!({"Runtime": "runc"}))),
    ]
}

pub(crate) fn run(value: Value) -> Run {
    serde_json::from_value(value).unwrap()
}

fn built(value: Value) -> Result<Spec, String> {
    let names = Names {
        id: "web".to_owned(),
        networks: [("front", "acme_front"), ("back", "back")]
            .map(|(name, engine)| (name.to_owned(), engine.to_owned()))
            .into(),
        volumes: [("data".to_owned(), "acme_data".to_owned())].into(),
    };
    let environment = Environment {
        variables: [("OURS".to_owned(), "ours".to_owned())].into(),
        files: [
            ("/etc/app.env".to_owned(), Ok("FROM_FILE=1\n".to_owned())),
            ("/etc/profile.json".to_owned(), Ok("{ \"defaultAction\": \"SCMP_ACT_ALLOW\" }".to_owned())),
            ("/gone".to_owned(), Err("no such file".to_owned())),
        ]
        .into(),
    };
    build(&run(value), &names, &environment)
}

/// `base` with what `more` sets, also deep inside.
fn with(mut base: Value, more: Value) -> Value {
    match (&mut base, more) {
        (Value::Object(base), Value::Object(more)) => {
            for (name, value) in more {
                let before = base.remove(&name).unwrap_or_default();
                base.insert(name, with(before, value));
            }
        }
        (base, more) => *base = more,
    }
    base
}

fn nothing() -> Value {
    json!({"HostConfig": {"RestartPolicy": {"Name": "unless-stopped"}}})
}

#[test]
fn every_field_of_the_schema_has_a_row() {
    let schema = crate::document::schema().as_value();
    let fields: BTreeSet<_> =
        schema.pointer("/$defs/Run/properties").unwrap().as_object().unwrap().keys().cloned().collect();
    let rows: BTreeSet<_> = rows().into_iter().map(|(field, ..)| field.to_owned()).collect();
    assert_eq!(fields, rows);
}

#[test]
fn every_field_sets_what_it_means_and_nothing_else() {
    for (field, value, expected) in rows() {
        let spec = built(json!({field: value})).unwrap_or_else(|problem| panic!("{field}: {problem}"));
        assert_eq!(Value::Object(spec.0), with(nothing(), expected), "{field}");
    }
    assert_eq!(Value::Object(built(json!({})).unwrap().0), nothing());
}

#[test]
fn a_difference_between_two_specs_has_the_words_of_the_document() {
    let before = built(json!({})).unwrap();
    for (field, value, expected) in rows() {
        let after = built(json!({field: value})).unwrap();
        let names: Vec<_> = difference(&before, &after).into_iter().map(|drift| drift.field).collect();
        let word = if field == "env_file" { "environment" } else { field };
        if expected == json!({}) {
            assert!(names.is_empty(), "{field}: {names:?}");
        } else {
            // One network comes instead of another.
            let is_right = |name: &String| {
                name == word || name.starts_with(&format!("{word}.")) || name == "networks.bridge"
            };
            assert!(!names.is_empty() && names.iter().all(is_right), "{field}: {names:?}");
        }
        assert!(difference(&after, &after).is_empty());
    }
}

#[test]
fn other_forms_of_the_same_fields() {
    let second = 1_000_000_000_i64;
    let host = |value: Value| json!({"HostConfig": value});
    for (run, expected) in [
        (json!({"entrypoint": []}), json!({"Entrypoint": [""]})),
        (json!({"entrypoint": ["a"], "command": []}), json!({"Entrypoint": ["a"]})),
        (json!({"restart": "no"}), host(json!({"RestartPolicy": {"Name": "no"}}))),
        (json!({"restart": "always"}), host(json!({"RestartPolicy": {"Name": "always"}}))),
        (json!({"restart": "on-failure"}), host(json!({"RestartPolicy": {"Name": "on-failure"}}))),
        (
            json!({"healthcheck": {"disable": true, "interval": "5s"}}),
            json!({"Healthcheck": {"Test": ["NONE"]}}),
        ),
        (json!({"healthcheck": {"interval": "5s"}}), json!({"Healthcheck": {"Interval": 5 * second}})),
        (
            json!({"healthcheck": {"test": ["CMD", "a", "b"]}}),
            json!({"Healthcheck": {"Test": ["CMD", "a", "b"]}}),
        ),
        (json!({"healthcheck": {"test": "NONE"}}), json!({"Healthcheck": {"Test": ["NONE"]}})),
        (
            json!({"ports": ["9090-9095:80", "[::1]:81:81"]}),
            json!({"ExposedPorts": {"80/tcp": {}, "81/tcp": {}}, "HostConfig": {"PortBindings": {
                "80/tcp": [{"HostIp": "", "HostPort": "9090-9095"}], "81/tcp": [{"HostIp": "::1", "HostPort": "81"}],
            }}}),
        ),
        (json!({"networks": ["default"]}), host(json!({"NetworkMode": "bridge"}))),
        (
            json!({"networks": ["default", "back"]}),
            json!({
                "HostConfig": {"NetworkMode": "back"},
                "NetworkingConfig": {"EndpointsConfig": {"back": {"Aliases": ["web"]}, "bridge": {}}},
            }),
        ),
        (json!({"network_mode": "host"}), host(json!({"NetworkMode": "host"}))),
        (
            json!({"gpus": [{"driver": "nvidia", "device_ids": ["0"], "capabilities": ["utility", "gpu"], "options": {"a": "b"}}]}),
            host(json!({"DeviceRequests": [
                {"Driver": "nvidia", "DeviceIDs": ["0"], "Capabilities": [["gpu", "utility"]], "Options": {"a": "b"}},
            ]})),
        ),
        (json!({"memswap_limit": "1g"}), host(json!({"MemorySwap": 1 << 30}))),
        (json!({"logging": {}}), json!({})),
        (json!({"blkio_config": {}}), json!({})),
        (
            json!({"security_opt": ["seccomp=unconfined"]}),
            host(json!({"SecurityOpt": ["seccomp=unconfined"]})),
        ),
    ] {
        let spec = built(run.clone()).unwrap_or_else(|problem| panic!("{run}: {problem}"));
        assert_eq!(Value::Object(spec.0), with(nothing(), expected), "{run}");
    }
}

#[test]
fn what_the_engine_can_t_be_told_is_refused_with_the_field() {
    for (run, field) in [
        (json!({"command": []}), "`command`"),
        (json!({"env_file": "/gone"}), "`env_file`: /gone can't be read: no such file"),
        (json!({"env_file": "/other"}), "`env_file`: /other was not read"),
        (json!({"security_opt": ["seccomp=/gone"]}), "`security_opt`"),
        (json!({"security_opt": ["seccomp=/etc/app.env"]}), "`security_opt`: /etc/app.env is no profile"),
        (json!({"healthcheck": {"test": ["curl", "x"]}}), "`healthcheck.test`"),
        (json!({"expose": ["80:80"]}), "`expose`"),
        (json!({"expose": ["x"]}), "`expose`"),
        (json!({"networks": ["other"]}), "`networks`: there is no network `other`"),
        (json!({"volumes": ["other:/d"]}), "`volumes`: there is no volume `other`"),
        (
            json!({"volumes": [{"type": "bind", "source": "/a:b", "target": "/c", "bind": {"create_host_path": true}}]}),
            "`volumes`: /c",
        ),
        (json!({"gpus": [{"count": 1, "device_ids": ["0"]}]}), "`gpus`"),
        (json!({"sysctls": ["a"]}), "`sysctls`: a has no value"),
        (json!({"labels": {"deviced.id": "x"}}), "`labels`"),
    ] {
        let problem = built(run.clone()).unwrap_err();
        assert!(problem.starts_with(field), "{run}: {problem}");
    }
}
