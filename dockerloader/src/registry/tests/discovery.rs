use super::*;
use crate::config::Login;

fn page(tags: &[&str]) -> Answer {
    Answer::new(200, serde_json::json!({"name": "a/b", "tags": tags}).to_string())
}

#[tokio::test]
async fn tags_are_read_to_the_last_page_at_the_same_host() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/v2/a/b/tags/list" => {
            page(&["2", "1"]).with("link", r#"<http://elsewhere.invalid/x?last=2&n=2>; rel="next""#)
        }
        "/v2/a/b/tags/list?last=2&n=2" => {
            page(&["3", "no tag", "1"]).with("link", r#"</v2/a/b/tags/list?last=3>; rel="next""#)
        }
        _ => Answer::new(200, r#"{"name":"a/b","tags":["4"]}"#),
    })
    .await;
    let client = plain_client();
    assert_eq!(client.tags(&reference(&server)).await.unwrap(), ["1", "2", "3", "4"]);
    assert_eq!(server.lines().len(), 3);
    let none = Server::start(|_| Answer::new(200, r#"{"name":"a/b","tags":null}"#)).await;
    assert!(client.tags(&reference(&none)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_list_of_tags_that_can_not_be_right_is_refused() {
    let mut page_number = 0;
    let endless = move |_: &Asked| {
        page_number += 1;
        let tags: Vec<_> = (0..10).map(|tag| format!("t{page_number}-{tag}")).collect();
        let tags: Vec<_> = tags.iter().map(String::as_str).collect();
        page(&tags).with("link", r#"</x?y=1>; rel="next""#)
    };
    let circle = |_: &Asked| page(&["1"]).with("link", r#"</x?y=1>; rel="next""#);
    let mut limits = Limits::default();
    (limits.tags.max, limits.tag_page_bytes.max) = (25, 4096);
    let client = client_with(&RegistrySettings::default(), limits);
    for (server, hint, requests) in [
        (Server::start(endless).await, "over the limit tags, 25", 3),
        (Server::start(circle).await, "a page without anything new", 2),
        (
            Server::start(|_| Answer::new(200, "x".repeat(5000))).await,
            "over the limit tag-page-bytes, 4096",
            1,
        ),
        (Server::start(|_| Answer::new(200, "no JSON")).await, "the list of tags: expected", 1),
        (Server::start(|_| Answer::new(404, "")).await, "the list of tags of a/b not found", 1),
        (Server::start(|_| Answer::new(403, "")).await, "denied", 1),
    ] {
        let error = client.tags(&reference(&server)).await.unwrap_err();
        assert!(error.to_string().contains(hint), "{error}");
        assert_eq!(server.lines().len(), requests, "{error}");
    }
}

#[tokio::test]
async fn a_mirror_is_asked_for_tags_first_and_the_registry_when_it_has_none() {
    let mirror = Server::start(|_| Answer::new(404, "")).await;
    let registry = Server::start(|_| page(&["1"])).await;
    let settings = RegistrySettings {
        mirrors: vec![crate::config::Mirror {
            registry: registry.host(),
            host: mirror.host(),
            prefix: String::new(),
        }],
        ..RegistrySettings::default()
    };
    assert_eq!(client(&settings).tags(&reference(&registry)).await.unwrap(), ["1"]);
    assert_eq!(mirror.lines(), [format!("GET /v2/a/b/tags/list?ns={}", registry.host())]);
}

#[tokio::test]
async fn a_digest_is_looked_for_by_one_head() {
    let digest = sha256(b"content");
    let server = Server::start(move |asked| {
        if asked.path.ends_with(&digest.to_string()) {
            Answer::new(200, "content").with("docker-content-digest", digest)
        } else {
            Answer::new(404, "")
        }
    })
    .await;
    let (client, reference) = (plain_client(), reference(&server));
    assert_eq!(client.find(&reference, &digest).await.unwrap().digest, digest);
    assert_eq!(server.lines(), [format!("HEAD /v2/a/b/manifests/{digest}")]);
    assert!(matches!(client.find(&reference, &sha256(b"x")).await, Err(Error::NotFound { .. })));
    let liar = Server::start(move |_| Answer::new(200, "").with("docker-content-digest", digest)).await;
    let error = client.find(&super::reference(&liar), &sha256(b"x")).await.unwrap_err();
    assert!(matches!(error, Error::Digest { found, .. } if found == digest), "{error}");
}

#[tokio::test]
async fn given_credentials_are_shown_instead_of_dockers_own_and_never_printed() {
    let server = Server::start(|asked| match asked.header("authorization") {
        Some("Basic dTpwdw==") => page(&["1"]),
        _ => Answer::new(401, "").with("www-authenticate", "Basic realm=x"),
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    docker_config(directory.path(), &server.host(), "other:wrong");
    let settings = |login: Login| RegistrySettings {
        docker_config: Some(directory.path().to_owned()),
        logins: [(server.host(), login)].into(),
        ..RegistrySettings::default()
    };
    let good = client(&settings(Login::new("u", "pw")));
    assert_eq!(good.tags(&reference(&server)).await.unwrap(), ["1"]);
    assert!(!format!("{good:?}").contains("pw"));
    assert_eq!(good.shown(&reference(&server)).await, Shown::Login(Login::new("u", "pw")));
    let error = client(&settings(Login::new("u", "hunter2"))).tags(&reference(&server)).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(text.contains("as user \"u\"") && !text.contains("hunter2"), "{text}");
    let own = RegistrySettings { logins: [].into(), ..settings(Login::new("", "")) };
    assert_eq!(client(&own).shown(&reference(&server)).await, Shown::Login(Login::new("other", "wrong")));
    assert_eq!(plain_client().shown(&reference(&server)).await, Shown::Nothing);
}

#[tokio::test]
async fn extra_headers_go_to_their_host_alone() {
    let other = Server::start(|_| Answer::new(200, "content")).await;
    let location = format!("http://{}/x", other.host());
    let server = Server::start(move |_| Answer::new(307, "").with("location", &location)).await;
    let headers = [("X-Site".to_owned(), "7".to_owned()), ("accept".to_owned(), "text/html".to_owned())];
    let settings =
        RegistrySettings { headers: [(server.host(), headers.into())].into(), ..RegistrySettings::default() };
    client(&settings).manifest(&reference(&server), &sha256(b"content")).await.unwrap();
    let (first, second) = (server.last("GET /v2/a/b"), other.last("GET /x"));
    assert_eq!(first.header("x-site"), Some("7"));
    assert!(first.header("accept").unwrap().contains("oci.image"), "the protocol's own stay");
    assert_eq!(second.header("x-site"), None);
    for (name, value, hint) in [
        ("a b", "1", "no name of a header"),
        ("a", "1\n2", "no header can hold its value"),
        ("Authorization", "Basic x", "credentials"),
    ] {
        let headers = [("r.example".to_owned(), [(name.to_owned(), value.to_owned())].into())].into();
        let settings = RegistrySettings { headers, ..RegistrySettings::default() };
        let error = Client::new(&settings, Limits::default()).unwrap_err();
        assert!(error.to_string().contains("r.example") && error.to_string().contains(hint), "{error}");
    }
}

#[tokio::test]
async fn a_probe_is_one_request_and_any_word_to_a_stranger_is_an_answer() {
    for status in [200, 401, 403, 404] {
        let server = Server::start(move |_| Answer::new(status, "")).await;
        let latency = plain_client().probe(&server.host()).await.unwrap();
        assert!(latency > Duration::ZERO);
        assert_eq!(server.lines(), ["GET /v2/"]);
    }
    for status in [429, 500, 503] {
        let server = Server::start(move |_| Answer::new(status, "").with("retry-after", 7)).await;
        let error = plain_client().probe(&server.host()).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)), "{error}");
        assert_eq!(server.lines().len(), 1);
    }
}
