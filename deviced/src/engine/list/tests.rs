use std::net::{IpAddr, Ipv4Addr};

use serde_json::json;

use super::*;

#[test]
fn a_container_of_each_engine_reads_the_same() {
    let labels = json!({"deviced.id": "web"});
    let docker_20 = json!({
        "Id": "4711", "Names": ["/web"], "Image": "sha256:1", "ImageID": "sha256:1", "Command": "/app", "Created": 1_790_000_000,
        "Ports": [
            {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
            {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
            {"PrivatePort": 443, "Type": "tcp"},
        ],
        "Labels": labels, "State": "running", "Status": "Up 2 minutes (health: starting)", "HostConfig": {"NetworkMode": "front"},
        "NetworkSettings": {"Networks": {"front": {"IPAMConfig": null, "IPAddress": "172.28.0.2", "GlobalIPv6Address": ""}}}, "Mounts": [],
    });
    let docker_29 = json!({
        "Id": "4711", "Names": ["/other/alias", "/web"], "Image": "sha256:1", "ImageID": "sha256:1", "ImageManifestDescriptor": {"size": 1},
        "Created": 1_790_000_000,
        "Ports": [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}],
        "Labels": labels, "State": "running", "Status": "Up 2 minutes", "Health": {"Status": "starting", "FailingStreak": 0},
        "HostConfig": {"NetworkMode": "front", "Annotations": {"a": "b"}},
        "NetworkSettings": {"Networks": {"front": {"IPAddress": "172.28.0.2", "GwPriority": 0}}},
    });
    let expected = Container {
        id: ContainerId("4711".to_owned()),
        name: "web".to_owned(),
        image: "sha256:1".to_owned(),
        image_id: ImageId("sha256:1".to_owned()),
        state: State::Running,
        health: Some(Health::Starting),
        created: 1_790_000_000,
        labels: [("deviced.id".to_owned(), "web".to_owned())].into(),
        ports: vec![PublishedPort { address: None, published: 8080, target: 80, protocol: "tcp".to_owned() }],
        network_mode: "front".to_owned(),
        networks: [("front".to_owned(), Address(Some(IpAddr::V4(Ipv4Addr::new(172, 28, 0, 2)))))].into(),
    };
    assert_eq!(containers(&json!([docker_20, docker_29])), [expected.clone(), expected]);
}

#[test]
fn states_and_health_of_all_engines() {
    for (word, status, expected) in [
        ("created", "Created", State::Created),
        ("running", "Up 3 days", State::Running),
        ("paused", "Up 3 days (Paused)", State::Paused),
        ("restarting", "Restarting (1) 3 seconds ago", State::Restarting),
        ("exited", "Exited (0) 3 days ago", State::Exited),
        ("removing", "Removal In Progress", State::Removing),
        ("dead", "Dead", State::Dead),
        ("configured", "", State::Created),
        ("initialized", "", State::Created),
        ("stopping", "", State::Running),
        ("stopped", "", State::Exited),
        ("Running", "", State::Running),
        // Words that nobody knows yet.
        ("hibernating", "Up 3 days (hibernating)", State::Running),
        ("", "", State::Exited),
    ] {
        assert_eq!(state(word, status), expected, "{word} {status}");
    }
    for (status, expected) in [
        ("Up 2 minutes (healthy)", Some(Health::Healthy)),
        ("Up 2 minutes (unhealthy)", Some(Health::Unhealthy)),
        ("Up 2 seconds (health: starting)", Some(Health::Starting)),
        ("Up 2 minutes", None),
        ("Up 2 minutes (Paused)", None),
        ("Exited (0) 3 days ago", None),
    ] {
        assert_eq!(health_of(status), expected, "{status}");
    }
}

#[test]
fn odd_entries_hide_no_others() {
    let list = json!([
        null, 3, "text", {}, {"Id": ""},
        {"Id": "1", "Names": null, "Labels": null, "Ports": null, "NetworkSettings": null, "Created": "yesterday", "State": 5},
        {"Id": "2", "Names": [], "Ports": [{"PublicPort": 70_000, "PrivatePort": 1}, {"PublicPort": 80}], "Health": "odd"},
    ]);
    let found = containers(&list);
    assert_eq!(found.iter().map(|container| container.id.0.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!((found[0].state, found[0].created, found[0].labels.len()), (State::Exited, 0, 0));
    assert!(found[1].ports.is_empty());
    assert!(containers(&json!(null)).is_empty());
}

#[test]
fn images_of_each_engine() {
    let labels = [("a".to_owned(), "b".to_owned())];
    let expected = |tags: &[&str], digests: &[&str], labelled: bool| Image {
        id: ImageId("sha256:1".to_owned()),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        digests: digests.iter().map(|digest| (*digest).to_owned()).collect(),
        size: 5,
        created: 7,
        labels: if labelled { labels.clone().into() } else { BTreeMap::new() },
    };
    for (entry, expected) in [
        // Docker 20.10.
        (
            json!({
                "Containers": -1, "Created": 7, "Id": "sha256:1", "Labels": {"a": "b"}, "ParentId": "", "RepoDigests": ["acme/web@sha256:2"],
                "RepoTags": ["acme/web:1"], "SharedSize": -1, "Size": 5, "VirtualSize": 5,
            }),
            expected(&["acme/web:1"], &["acme/web@sha256:2"], true),
        ),
        (
            json!({"Created": 7, "Id": "sha256:1", "Labels": null, "RepoDigests": ["<none>@<none>"], "RepoTags": ["<none>:<none>"], "Size": 5}),
            expected(&[], &[], false),
        ),
        // Docker 29: without ParentId, SharedSize and Containers, with a descriptor.
        (
            json!({"Created": 7, "Id": "sha256:1", "RepoDigests": ["acme/web@sha256:1"], "RepoTags": null, "Size": 5, "Descriptor": {"digest": "sha256:1"}}),
            expected(&[], &["acme/web@sha256:1"], false),
        ),
    ] {
        assert_eq!(images(&json!([entry])), [expected], "{entry}");
    }
}

#[test]
fn networks_and_volumes() {
    let entry = json!({"Id": "9", "Name": "front", "Labels": {"deviced.id": "front"}, "Driver": "bridge"});
    let found = networks(&json!([entry, {"Name": "without an id"}]));
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].name.as_str(), &found[0].body, found[0].labels["deviced.id"].as_str()),
        ("front", &entry, "front")
    );

    let entry = json!({"Name": "data", "Driver": "local", "Labels": null});
    let found = volumes(&json!({"Volumes": [entry], "Warnings": null}));
    assert_eq!((found.len(), found[0].name.as_str(), &found[0].body), (1, "data", &entry));
    assert!(volumes(&json!({"Volumes": null})).is_empty());
}
