use super::*;

/// Everything once.
const WHOLE: &str = include_str!("../../../docs/examples/device.yaml");

fn refused(text: &str) -> String {
    Document::read(text).unwrap_err().to_string()
}

/// A document of one container with these further lines.
fn with(lines: &str) -> String {
    format!(
        "apiVersion: deviced/v1\ncontainers:\n  - id: web\n    image: acme/web\n    versions: [\"1\"]\n{lines}"
    )
}

#[test]
fn the_example_is_read_and_written_so_that_it_reads_the_same() {
    let document = Document::read(WHOLE).unwrap();
    assert!(document.containers.len() >= 3);
    let json = serde_json::to_string_pretty(&document).unwrap();
    assert_eq!(Document::read(&json).unwrap(), document);
}

#[test]
fn the_least_that_has_to_be_said() {
    let document = Document::read("apiVersion: deviced/v1\ncontainers: []").unwrap();
    assert_eq!((document.containers.len(), document.remove_unknown), (0, RemoveUnknown::Stop));
    assert!(Document::read(&with("")).is_ok());
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_what_to_do() {
    for (text, said) in [
        (
            "",
            "the document is empty; a document that removes everything has to say so: write apiVersion and an empty list of containers",
        ),
        ("hello", "1:1: invalid type: string \"hello\", expected a map with apiVersion and containers"),
        ("containers: []", "1:1: missing field `apiVersion`"),
        ("apiVersion: deviced/v1", "1:1: missing field `containers`"),
        ("apiVersion: v2\ncontainers: []", "1:1: apiVersion: unknown variant `v2`, expected `deviced/v1`"),
        (
            "apiVersion: deviced/v1\ncontianers: []\nserivces: {}",
            "2:1: contianers: there is no `contianers` here; did you mean `containers`?\n\
             3:1: serivces: there is no `serivces` here; known here: apiVersion, containers, device, networks, registries, removeUnknown, volumes",
        ),
        (
            &with("    run:\n      prots: [80]"),
            "7:7: containers[0].run.prots: there is no `prots` here; did you mean `ports`?",
        ),
        (
            &with("    run:\n      image: x"),
            "7:7: containers[0].run.image: there is no `image` here; the image stands beside `run`, as `image`, and its versions as `versions`",
        ),
        (
            &with("    run:\n      ports: [{target: 80, publish: 81}]"),
            "7:28: containers[0].run.ports[0].publish: there is no `publish` here; did you mean `published`?",
        ),
        (
            &with("    run:\n      ports:\n        - 80:80\n        - 1.2.3:80:80"),
            "9:11: containers[0].run.ports[1]: \"1.2.3:80:80\" is no port; write [[address:]host:]container[/protocol], for example 8080:80 or 127.0.0.1:53:53/udp",
        ),
        (
            &with("    run:\n      privileged: maybe"),
            "7:7: containers[0].run.privileged: invalid type: string \"maybe\", expected a boolean",
        ),
        (
            &with("    run:\n      networks: [front]"),
            "7:18: containers[0].run.networks.front: there is no network `front`; add it to `networks:` as `front: {}`",
        ),
        (
            &(with("    run:\n      networks: [frnt]") + "\nnetworks:\n  front: {}"),
            "7:18: containers[0].run.networks.frnt: there is no network `frnt`; did you mean `front`?",
        ),
        (
            &with("    run:\n      volumes: [data:/d]"),
            "7:17: containers[0].run.volumes[0]: there is no volume `data`; add it to `volumes:` as `data: {}`",
        ),
        (
            &with("    run:\n      depends_on: [web]"),
            "7:20: containers[0].run.depends_on.web: `web` would wait for itself; remove it",
        ),
        (
            &with("    run:\n      depends_on: [wbe]"),
            "7:20: containers[0].run.depends_on.wbe: there is no container `wbe`; did you mean `web`?",
        ),
        (
            &with("    run:\n      network_mode: host\n      ports: [80]"),
            "8:7: containers[0].run.ports: no port can be published in network mode `host`; remove the ports",
        ),
        (
            &with("  - id: web\n    image: a\n    versions: [b]"),
            "6:5: containers[1].id: the id `web` is there twice: here, and at containers[0]; give each container its own",
        ),
        (
            &with(
                "    run:\n      ports: [80:80]\n  - id: b\n    image: a\n    versions: [b]\n    run:\n      ports: [127.0.0.1:80:81]",
            ),
            "12:15: containers[1].run.ports[0]: port 80/tcp is published by `web` already; publish another one, or at another address",
        ),
        (
            &with(
                "    run:\n      depends_on: [b]\n  - id: b\n    image: a\n    versions: [b]\n    run:\n      network_mode: service:web",
            ),
            "7:7: containers[0].run.depends_on: containers wait for each other: web -> b -> web; remove one of these dependencies",
        ),
    ] {
        assert_eq!(refused(text), said, "{text}");
    }
}

#[test]
fn images_versions_and_registries_are_checked() {
    let image = |image: &str, versions: &str| {
        refused(&format!(
            "apiVersion: deviced/v1\ncontainers:\n  - {{id: a, image: {image:?}, versions: {versions}}}"
        ))
    };
    assert!(
        image("acme/web:1", "[x]")
            .contains("has a version; write the image without it, and versions: [\"1\"]")
    );
    assert!(image("localhost:5000/web:1", "[x]").contains("versions: [\"1\"]"));
    assert!(image("a b", "[x]").contains("containers[0].image"));
    assert!(image("a", "[]").contains("no version is acceptable; name at least one"));
    assert!(image("a", "[1.10]").contains("in quotation marks"));
    assert!(image("a", "[^x]").contains("is no range of versions"));
    let fine = "apiVersion: deviced/v1\ncontainers: [{id: a, image: 'localhost:5000/web', versions: [x]}]";
    assert!(Document::read(fine).is_ok());
    let registry = |registry: &str| {
        refused(&format!("apiVersion: deviced/v1\ncontainers: []\nregistries: [{registry}]"))
    };
    for (text, said) in [
        ("{url: 'registry.local'}", "is no registry; write https://host"),
        (
            "{url: 'https://user:secret@r.local'}",
            "registries[0].url: credentials stand in the address; use `credentials`",
        ),
        ("{url: 'https://r.local/mirror'}", "what stands before the images' names is `prefix`"),
        ("{url: 'http://r.local'}", "or add `plainHttp: true`"),
        ("{url: 'https://r', credentials: {username: u}}", "exactly one of `passwordFile` and `passwordEnv`"),
        ("{url: 'https://r', credentials: {username: u, password: p}}", "name where the password is kept"),
        ("{url: 'https://r', headers: {Authorization: x}}", "use `credentials`"),
    ] {
        let refused = registry(text);
        assert!(refused.contains(said), "{text}: {refused}");
        assert!(!refused.contains("secret@"), "{refused}");
    }
    for fine in
        ["http://localhost:5000", "http://127.0.0.1:5000", "http://[::1]:5000", "https://r.local:5000/"]
    {
        assert!(
            Document::read(&format!(
                "apiVersion: deviced/v1\ncontainers: []\nregistries: [{{url: '{fine}'}}]"
            ))
            .is_ok(),
            "{fine}"
        );
    }
}

#[test]
fn ports_meet_where_both_would_listen() {
    let two = |one: &str, other: &str| {
        let text = with(&format!("    run:\n      ports: ['{one}', '{other}']"));
        Document::read(&text).is_err()
    };
    for (one, other, is_refused) in [
        ("80:80", "80:81", true),
        ("80:80", "80:80/udp", false),
        ("127.0.0.1:80:80", "127.0.0.2:80:80", false),
        ("0.0.0.0:80:80", "127.0.0.2:80:80", true),
        ("0.0.0.0:80:80", "[::1]:80:80", false),
        ("80-82:80-82", "82:1", true),
        ("80", "80", false),
        ("9000-9005:80", "9000:81", false),
    ] {
        assert_eq!(two(one, other), is_refused, "{one} {other}");
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let text = with("    run:\n      networks: [a]\n      volumes: [b:/b]\n      depends_on: [c]");
    assert_eq!(Document::read(&text).unwrap_err().findings.len(), 3);
}

#[test]
fn a_long_chain_of_dependencies_is_no_circle() {
    let mut text = "apiVersion: deviced/v1\ncontainers:\n".to_owned();
    for number in 0..1_000 {
        let next =
            if number == 999 { String::new() } else { format!(", run: {{depends_on: [c{}]}}", number + 1) };
        text += &format!("  - {{id: c{number}, image: a, versions: [b]{next}}}\n");
    }
    assert!(Document::read(&text).is_ok());
    let round = text.replace(
        "{id: c999, image: a, versions: [b]}",
        "{id: c999, image: a, versions: [b], run: {depends_on: [c0]}}",
    );
    assert_eq!(Document::read(&round).unwrap_err().findings.len(), 1);
}
