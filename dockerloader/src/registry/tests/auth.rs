use super::*;
use crate::remedy::Remedy;

/// A registry and its token service in one: tokens are `t1`, `t2`, ... of which the last `uses` requests are good.
fn with_tokens(expires_in: u64, uses: u32) -> impl FnMut(&Asked) -> Answer + Send {
    let (mut issued, mut left) = (0, 0);
    move |asked| {
        if asked.path.starts_with("/token") {
            (issued, left) = (issued + 1, uses);
            return Answer::new(200, format!(r#"{{"token":"t{issued}","expires_in":{expires_in}}}"#));
        }
        let host = asked.header("host").unwrap();
        if asked.header("authorization") == Some(&format!("Bearer t{issued}")) && left > 0 {
            left -= 1;
            return Answer::new(200, "content").with("docker-content-digest", sha256(b"content"));
        }
        let challenge =
            format!(r#"Bearer realm="http://{host}/token",service="s",scope="repository:a/b:pull""#);
        Answer::new(401, r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#)
            .with("www-authenticate", challenge)
    }
}

fn count(server: &Server, beginning: &str) -> usize {
    server.lines().iter().filter(|line| line.starts_with(beginning)).count()
}

fn settings(directory: &Path) -> RegistrySettings {
    RegistrySettings { docker_config: Some(directory.to_owned()), ..RegistrySettings::default() }
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_used_for_all() {
    let server = Server::start(with_tokens(300, 100)).await;
    let (client, reference) = (plain_client(), reference(&server));
    client.resolve(&reference).await.unwrap();
    let blob = descriptor(b"content");
    let (a, b, c) = tokio::join!(
        client.blob(&reference, &blob, 0),
        client.blob(&reference, &blob, 0),
        client.resolve(&reference)
    );
    assert_eq!(
        (all(a.unwrap()).await.unwrap(), all(b.unwrap()).await.unwrap()),
        (b"content".into(), b"content".into())
    );
    c.unwrap();
    assert_eq!(server.lines()[1], "GET /token?scope=repository%3Aa%2Fb%3Apull&service=s");
    assert_eq!((count(&server, "GET /token"), count(&server, "HEAD"), count(&server, "GET /v2/")), (1, 3, 2));
}

#[tokio::test]
async fn requests_that_need_a_token_at_once_share_it() {
    let server = Server::start(with_tokens(300, 100)).await;
    let (client, reference) = (plain_client(), reference(&server));
    let (a, b, c) =
        tokio::join!(client.resolve(&reference), client.resolve(&reference), client.resolve(&reference));
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(count(&server, "GET /token"), 1);
}

#[tokio::test]
async fn a_token_that_runs_out_is_renewed() {
    // By its own word, before the registry refuses it; and by the registry's refusal, although its word was longer.
    for (expires_in, uses, tokens, refusals) in [(0, 100, 4, 1), (300, 1, 4, 4)] {
        let server = Server::start(with_tokens(expires_in, uses)).await;
        let client = plain_client();
        for _ in 0..4 {
            let blob = client.blob(&reference(&server), &descriptor(b"content"), 0).await.unwrap();
            assert_eq!(all(blob).await.unwrap(), b"content");
        }
        assert_eq!((count(&server, "GET /token"), count(&server, "GET /v2/")), (tokens, 4 + refusals));
    }
}

#[tokio::test]
async fn a_registry_that_refuses_its_own_tokens_is_not_asked_for_ever() {
    let server = Server::start(with_tokens(300, 0)).await;
    let error = plain_client().manifest(&reference(&server), &sha256(b"x")).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("not authorized to pull a/b, without credentials"), "{text}");
    assert!(text.ends_with("it says UNAUTHORIZED: authentication required"), "{text}");
    assert_eq!((error.remedy(), server.lines().len()), (Remedy::Local, 3));
}

#[tokio::test]
async fn a_password_goes_to_the_token_service_or_to_the_registry() {
    for is_bearer in [false, true] {
        let server = Server::start(move |asked| {
            let host = asked.header("host").unwrap().to_owned();
            match (asked.path.starts_with("/token"), asked.header("authorization")) {
                (true, Some("Basic Ym9iOnBAc3M=")) => Answer::new(200, r#"{"access_token":"good"}"#),
                (false, Some("Bearer good")) if is_bearer => {
                    Answer::new(200, "").with("docker-content-digest", sha256(b"x"))
                }
                (false, Some("Basic Ym9iOnBAc3M=")) if !is_bearer => {
                    Answer::new(200, "").with("docker-content-digest", sha256(b"x"))
                }
                (true, _) => Answer::new(401, ""),
                (false, _) if is_bearer => Answer::new(401, "")
                    .with("www-authenticate", format!("Bearer realm=\"http://{host}/token\"")),
                (false, _) => Answer::new(401, "").with("www-authenticate", "Basic realm=\"r\""),
            }
        })
        .await;
        let directory = tempfile::tempdir().unwrap();
        docker_config(directory.path(), &server.host(), "bob:p@ss");
        let good = client(&settings(directory.path())).resolve(&reference(&server)).await.unwrap();
        assert_eq!(good.digest, sha256(b"x"));
        docker_config(directory.path(), &server.host(), "bob:hunter2");
        let error = client(&settings(directory.path())).resolve(&reference(&server)).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("as user \"bob\" from ") && text.contains("config.json"), "{text}");
        assert!(!text.contains("hunter2") && error.remedy() == Remedy::Local, "{text}");
        docker_config(directory.path(), "other.example", "bob:hunter2");
        let error = client(&settings(directory.path())).resolve(&reference(&server)).await.unwrap_err();
        let why = format!("config.json has none for {}", server.host());
        assert!(error.to_string().contains(&why), "{error}");
    }
}

#[tokio::test]
async fn a_refused_password_is_not_shown_twice() {
    let server = Server::start(|_| Answer::new(401, "").with("www-authenticate", "Basic realm=\"r\"")).await;
    let directory = tempfile::tempdir().unwrap();
    docker_config(directory.path(), &server.host(), "u:p");
    let client = client(&settings(directory.path()));
    for requests in [2, 3] {
        client.resolve(&reference(&server)).await.unwrap_err();
        assert_eq!(server.lines().len(), requests, "accounts are locked after too many");
    }
}

#[tokio::test]
async fn an_identity_token_is_changed_for_an_access_token() {
    let server = Server::start(|asked| {
        let host = asked.header("host").unwrap();
        match (asked.line().as_str(), asked.header("authorization")) {
            ("POST /token", None)
                if asked.body.contains("refresh_token=s3cret&")
                    || asked.body.ends_with("refresh_token=s3cret") =>
            {
                Answer::new(200, r#"{"access_token":"good"}"#)
            }
            (_, Some("Bearer good")) => Answer::new(200, "").with("docker-content-digest", sha256(b"x")),
            _ => {
                Answer::new(401, "").with("www-authenticate", format!("Bearer realm=\"http://{host}/token\""))
            }
        }
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    write_config(
        directory.path(),
        &format!(r#"{{"auths":{{"{}":{{"identitytoken":"s3cret"}}}}}}"#, server.host()),
    );
    client(&settings(directory.path())).resolve(&reference(&server)).await.unwrap();
    let form = server.last("POST");
    assert_eq!(form.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert!(form.body.contains("grant_type=refresh_token") && form.body.contains("client_id=dockerloader"));
}

#[tokio::test]
async fn a_token_service_in_the_clear_is_never_asked() {
    let server = Server::start(|_| {
        Answer::new(401, "").with("www-authenticate", "Bearer realm=\"http://auth.example/token?k=v\"")
    })
    .await;
    let error = plain_client().resolve(&reference(&server)).await.unwrap_err();
    assert!(error.to_string().contains("http://auth.example/token is refused: it is plain HTTP"), "{error}");
    assert_eq!(error.remedy(), Remedy::Local);
}

#[tokio::test]
async fn a_token_answer_that_cannot_be_used_is_an_error() {
    let megabyte = vec![b' '; 1 << 20];
    for (answer, hint) in [
        (Answer::new(200, "{}"), "no JSON with `token`"),
        (Answer::new(200, &megabyte), "over the limit token-bytes"),
        (Answer::new(200, &megabyte).endless(), "over the limit token-bytes"),
        (Answer::new(403, "go away"), "access to a/b denied"),
    ] {
        let server = Server::start(move |asked| match asked.path.starts_with("/token") {
            true => answer.clone(),
            false => Answer::new(401, "").with(
                "www-authenticate",
                format!("Bearer realm=\"http://{}/token\"", asked.header("host").unwrap()),
            ),
        })
        .await;
        let error = plain_client().resolve(&reference(&server)).await.unwrap_err();
        assert!(error.to_string().contains(hint), "{error}");
    }
}

#[tokio::test]
async fn a_credential_lookup_that_hangs_ends_at_its_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("config.json");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let deadline = Duration::from_millis(50);
    let found =
        credentials::look_up(Some(directory.path().to_owned()), vec!["r.example".to_owned()], deadline).await;
    assert_eq!(found.credential, credentials::Credential::Anonymous);
    assert!(found.origin.contains("did not answer"), "{}", found.origin);
    // Lets the thread go that waits for the other end of the pipe.
    std::fs::OpenOptions::new().write(true).open(&pipe).unwrap();
}

#[tokio::test]
async fn a_token_service_that_fails_once_is_asked_again_over_plain_http_too() {
    let mut answers = with_tokens(300, 100);
    let mut fails = true;
    let server = Server::start(move |asked| {
        if asked.path.starts_with("/token") && std::mem::take(&mut fails) {
            return Answer::new(500, "");
        }
        answers(asked)
    })
    .await;
    let client = plain_client();
    assert_eq!(client.resolve(&reference(&server)).await.unwrap().digest, sha256(b"content"));
    assert_eq!((count(&server, "GET /token"), client.noted_pauses().len()), (2, 1));
}
