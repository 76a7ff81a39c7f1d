use super::*;
use crate::config::Mirror;
use crate::remedy::Remedy;

fn with_mirrors(registry: &Server, mirrors: &[String]) -> RegistrySettings {
    let mirrors = mirrors
        .iter()
        .map(|host| Mirror { registry: registry.host(), host: host.clone(), prefix: "cache".into() })
        .collect();
    RegistrySettings { mirrors, ..RegistrySettings::default() }
}

fn has_content(_: &Asked) -> Answer {
    Answer::new(200, "content").with("docker-content-digest", sha256(b"content"))
}

/// A port where nothing listens.
fn closed() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_mirror_is_asked_first_and_told_for_whom() {
    let (mirror, registry) = (Server::start(has_content).await, Server::start(has_content).await);
    let client = client(&with_mirrors(&registry, &[mirror.host()]));
    client.resolve(&reference(&registry)).await.unwrap();
    let blob = client.blob(&reference(&registry), &descriptor(b"content"), 0).await.unwrap();
    assert_eq!(blob.source, mirror.host());
    let ns = format!("?ns={}", registry.host());
    let digest = sha256(b"content");
    assert_eq!(
        mirror.lines(),
        [format!("HEAD /v2/cache/a/b/manifests/1{ns}"), format!("GET /v2/cache/a/b/blobs/{digest}{ns}")]
    );
    assert_eq!(registry.lines().len(), 0);
}

#[tokio::test]
async fn whatever_a_mirror_does_the_registry_itself_is_asked_in_the_end() {
    for answer in [
        Answer::new(500, ""),
        Answer::new(404, ""),
        Answer::new(401, ""),
        Answer::new(403, ""),
        Answer::new(429, "").with("retry-after", 5),
        Answer::new(302, "").with("location", "ftp://x"),
        Answer::new(200, "other!!"),
        Answer::new(200, "").hanging(5 << 20),
    ] {
        let mirror = Server::start(move |_| answer.clone()).await;
        let registry = Server::start(has_content).await;
        let client = client(&with_mirrors(&registry, &[mirror.host()]));
        let (bytes, _) = client.manifest(&reference(&registry), &sha256(b"content")).await.unwrap();
        assert_eq!(bytes, b"content");
        assert_eq!((mirror.lines().len(), registry.lines().len()), (1, 1));
        assert!(client.noted_pauses().is_empty(), "another source needs no pause");
    }
}

#[tokio::test]
async fn a_mirror_that_cannot_be_reached_is_left_alone_for_a_while() {
    let (second, registry) = (Server::start(has_content).await, Server::start(has_content).await);
    let gone = closed();
    let client = client(&with_mirrors(&registry, &[gone.clone(), second.host()]));
    for _ in 0..3 {
        client.resolve(&reference(&registry)).await.unwrap();
    }
    assert!(client.hosts.is_aside(&gone) && !client.hosts.is_aside(&second.host()));
    assert_eq!(
        (second.lines().len(), registry.lines().len()),
        (3, 0),
        "the mirrors are asked in their order"
    );
}

#[tokio::test]
async fn a_mirror_with_wrong_bytes_is_not_asked_for_them_again() {
    let mirror = Server::start(|_| Answer::new(200, "other!!")).await;
    let registry = Server::start(has_content).await;
    let client = client(&with_mirrors(&registry, &[mirror.host()]));
    let (reference, descriptor) = (reference(&registry), descriptor(b"content"));
    let blob = client.blob(&reference, &descriptor, 0).await.unwrap();
    assert_eq!(blob.source, mirror.host());
    client.report_corrupt(&descriptor.digest, &blob.source);
    let blob = client.blob(&reference, &descriptor, 0).await.unwrap();
    assert_eq!(blob.source, registry.host());
    assert_eq!(all(blob).await.unwrap(), b"content");
}

#[tokio::test]
async fn a_mirror_with_a_wrong_manifest_is_not_asked_for_it_again() {
    let mirror = Server::start(|_| Answer::new(200, "other!!")).await;
    let registry = Server::start(has_content).await;
    let client = client(&with_mirrors(&registry, &[mirror.host()]));
    for _ in 0..2 {
        client.manifest(&reference(&registry), &sha256(b"content")).await.unwrap();
    }
    assert_eq!((mirror.lines().len(), registry.lines().len()), (1, 2));
}

#[tokio::test]
async fn a_host_that_is_not_there_says_so() {
    // No name server is asked for a label of more than 63 letters. TLS would refuse it before the resolver does.
    let nowhere = format!("{}.invalid", "a".repeat(64));
    let settings = RegistrySettings { insecure: vec![nowhere.clone()], ..RegistrySettings::default() };
    for (host, remedy, hint) in
        [(closed(), Remedy::Retry, "connection refused"), (nowhere, Remedy::Later, "no such host")]
    {
        let reference = format!("{host}/a/b:1").parse().unwrap();
        let error = client(&settings).resolve(&reference).await.unwrap_err();
        assert!(error.to_string().contains(&host) && error.to_string().contains(hint), "{error}");
        assert_eq!(error.remedy(), remedy);
    }
}

#[tokio::test]
async fn a_certificate_is_trusted_only_by_the_ca_file() {
    let (server, pem) = Server::start_tls(has_content).await;
    let error = plain_client().resolve(&reference(&server)).await.unwrap_err();
    assert!(matches!(error, Error::Certificate { .. }), "{error}");
    assert!(error.to_string().contains("DOCKERLOADER_CA_FILE") && error.remedy() == Remedy::Local, "{error}");
    assert_eq!(server.lines().len(), 0, "and plain HTTP is not tried");

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    let with_ca = |text: &str| {
        use std::io::Write as _;
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        Client::new(
            &RegistrySettings { ca_file: Some(path.clone()), ..RegistrySettings::default() },
            Limits::default(),
        )
    };
    let client = with_ca(&pem).unwrap();
    assert_eq!(client.resolve(&reference(&server)).await.unwrap().digest, sha256(b"content"));
    for bad in [
        "",
        "no certificate",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        &pem[..pem.len() / 2],
    ] {
        let error = with_ca(bad).unwrap_err();
        assert!(error.to_string().contains("ca.pem") && error.remedy() == Remedy::Local, "{error}");
    }
    let missing =
        RegistrySettings { ca_file: Some(directory.path().join("no")), ..RegistrySettings::default() };
    assert!(matches!(Client::new(&missing, Limits::default()), Err(Error::CaFile { .. })));
}

#[tokio::test]
async fn https_never_leads_to_plain_http() {
    let plain = Server::start(has_content).await;
    let location = format!("http://{}/x", plain.host());
    let (server, pem) = Server::start_tls(move |_| Answer::new(307, "").with("location", &location)).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    {
        use std::io::Write as _;
        std::fs::File::create(&path).unwrap().write_all(pem.as_bytes()).unwrap();
    }
    let settings = RegistrySettings { ca_file: Some(path), ..RegistrySettings::default() };
    let error = client(&settings).blob(&reference(&server), &descriptor(b"content"), 0).await.unwrap_err();
    assert!(error.to_string().contains("from HTTPS to plain HTTP"), "{error}");
    assert_eq!(plain.lines().len(), 0);
}

#[test]
fn plain_http_is_tried_only_where_there_is_no_tls() {
    let host = || "h".to_owned();
    let problem = String::new;
    for (error, name, expected) in [
        (Error::NoTls { host: host(), problem: problem() }, "h:1", true),
        (Error::NoConnection { host: host(), problem: problem() }, "h:1", true),
        (Error::Timeout { host: host(), what: transport::NO_CONNECTION, after: Duration::ZERO }, "h:1", true),
        (Error::Timeout { host: host(), what: "no answer", after: Duration::ZERO }, "h:1", false),
        (Error::Refused { host: host() }, "h:1", false),
        (Error::Refused { host: host() }, "[::1]:1", false),
        (Error::Refused { host: host() }, "h", true),
        (Error::Refused { host: host() }, "[::1]", true),
        (Error::Handshake { host: host(), problem: problem() }, "h:1", false),
        (Error::Certificate { host: host(), problem: problem(), advice: "" }, "h:1", false),
        (Error::Broken { host: host(), problem: problem() }, "h:1", false),
        (Error::UnknownHost { host: host(), problem: problem() }, "h", false),
    ] {
        assert_eq!(ask::may_speak_http(&error, name), expected, "{error}");
    }
}

#[tokio::test]
async fn a_mirror_that_breaks_off_again_and_again_is_left_alone_for_a_while() {
    let mirror = Server::start(|_| Answer::new(200, "con").short_of(7)).await;
    let registry = Server::start(has_content).await;
    let client = client(&with_mirrors(&registry, &[mirror.host()]));
    let (reference, descriptor) = (reference(&registry), descriptor(b"content"));
    let mut attempts = retry::Attempts::default();
    for _ in 0..2 {
        let blob = client.blob(&reference, &descriptor, 0).await.unwrap();
        assert_eq!(blob.source, mirror.host(), "once may be an accident");
        let error = all(blob).await.unwrap_err();
        client.pause_after(&mut attempts, error).await.unwrap();
    }
    let blob = client.blob(&reference, &descriptor, 0).await.unwrap();
    assert_eq!((blob.source.clone(), all(blob).await.unwrap()), (registry.host(), b"content".to_vec()));
}
