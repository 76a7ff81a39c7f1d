use super::*;
use crate::remedy::Remedy;

/// Answers like a registry that has one manifest under any tag and digest.
fn has(manifest: &'static str) -> impl FnMut(&Asked) -> Answer + Send {
    move |_| {
        Answer::new(200, manifest)
            .with("content-type", OCI)
            .with("docker-content-digest", sha256(manifest.as_bytes()))
    }
}

#[tokio::test]
async fn a_pinned_reference_needs_no_request() {
    let digest = sha256(b"x");
    let reference = format!("127.0.0.1:1/a@{digest}").parse().unwrap();
    let resolved = plain_client().resolve(&reference).await.unwrap();
    assert_eq!(resolved, Resolved { digest, media_type: None, size: None });
}

#[tokio::test]
async fn a_poll_is_one_head_request() {
    let server = Server::start(has("{}")).await;
    let client = plain_client();
    for _ in 0..2 {
        let resolved = client.resolve(&reference(&server)).await.unwrap();
        assert_eq!(
            resolved,
            Resolved { digest: sha256(b"{}"), media_type: Some(OCI.to_owned()), size: Some(2) }
        );
    }
    assert_eq!(server.lines(), ["HEAD /v2/a/b/manifests/1"; 2], "plain HTTP is found once and remembered");
    let asked = server.last("HEAD");
    assert_eq!(asked.header("accept"), Some(manifest::media_type::ACCEPT));
    assert_eq!(asked.header("user-agent"), Some(concat!("dockerloader/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(asked.header("authorization"), None);
}

#[tokio::test]
async fn without_a_digest_header_or_a_head_the_manifest_is_fetched_and_hashed() {
    for head in [
        Answer::new(200, ""),
        Answer::new(200, "").with("docker-content-digest", "sha512:00"),
        Answer::new(405, ""),
        Answer::new(501, ""),
    ] {
        let server = Server::start(move |asked| match asked.method.as_str() {
            "HEAD" => head.clone(),
            _ => Answer::new(200, "{}").with("content-type", OCI),
        })
        .await;
        let resolved = plain_client().resolve(&reference(&server)).await.unwrap();
        assert_eq!((resolved.digest, resolved.size), (sha256(b"{}"), Some(2)));
        assert_eq!(server.lines(), ["HEAD /v2/a/b/manifests/1", "GET /v2/a/b/manifests/1"]);
    }
}

#[tokio::test]
async fn a_tag_that_is_not_there_is_not_asked_for_twice() {
    let server = Server::start(|_| Answer::new(404, "")).await;
    let error = plain_client().resolve(&reference(&server)).await.unwrap_err();
    assert!(matches!(&error, Error::NotFound { what, .. } if what == "the manifest 1 of a/b"), "{error}");
    assert_eq!((error.remedy(), server.lines().len()), (Remedy::Later, 1));
}

#[tokio::test]
async fn a_digest_header_that_lies_is_an_error() {
    let server = Server::start(|asked| match asked.method.as_str() {
        "HEAD" => Answer::new(405, ""),
        _ => Answer::new(200, "{}").with("docker-content-digest", sha256(b"other")),
    })
    .await;
    let error = plain_client().resolve(&reference(&server)).await.unwrap_err();
    assert!(matches!(error, Error::Digest { .. }), "{error}");
}

#[tokio::test]
async fn a_manifest_is_verified() {
    let server = Server::start(has("{}")).await;
    let client = plain_client();
    let (bytes, media_type) = client.manifest(&reference(&server), &sha256(b"{}")).await.unwrap();
    assert_eq!((bytes.as_slice(), media_type.as_deref()), (&b"{}"[..], Some(OCI)));
    let error = client.manifest(&reference(&server), &sha256(b"x")).await.unwrap_err();
    assert!(
        matches!(error, Error::Digest { expected, found, .. } if expected == sha256(b"x") && found == sha256(b"{}"))
    );
    assert_eq!(error.remedy(), Remedy::Corrupt);
}

#[tokio::test]
async fn a_manifest_over_its_limit_is_refused_however_it_comes() {
    let megabyte = vec![b' '; 1 << 20];
    for answer in [
        Answer::new(200, "").hanging(5 << 20),
        Answer::new(200, "").hanging(1 << 60),
        Answer::new(200, &megabyte).endless(),
    ] {
        let server = Server::start(move |_| answer.clone()).await;
        let error = plain_client().manifest(&reference(&server), &sha256(b"x")).await.unwrap_err();
        assert!(error.to_string().contains("over the limit manifest-bytes, 4194304"), "{error}");
        assert_eq!(error.remedy(), Remedy::Refuse);
    }
}

#[tokio::test]
async fn an_error_is_quoted_but_not_without_end() {
    let server = Server::start(|_| Answer::new(403, "no entry today\n".repeat(1000)).endless()).await;
    let error = plain_client().manifest(&reference(&server), &sha256(b"x")).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("access to a/b denied") && text.ends_with("it says no entry today"), "{text}");
    assert!(text.contains("without credentials: neither DOCKER_CONFIG nor HOME is set"), "{text}");
}

#[tokio::test]
async fn a_busy_registry_is_asked_again_when_it_says() {
    let mut left = vec![
        Answer::new(200, "").with("docker-content-digest", sha256(b"x")),
        Answer::new(503, ""),
        Answer::new(429, "").with("retry-after", 7),
    ];
    let server = Server::start(move |_| left.pop().unwrap()).await;
    let client = plain_client();
    assert_eq!(client.resolve(&reference(&server)).await.unwrap().digest, sha256(b"x"));
    let pauses = client.noted_pauses();
    assert_eq!(pauses[0], Duration::from_secs(7));
    assert!(pauses.len() == 2 && pauses[1] <= Duration::from_secs(1), "{pauses:?}");
}

#[tokio::test]
async fn patience_ends() {
    for (answer, requests) in [
        (Answer::new(500, ""), 5),
        (Answer::new(429, "").with("retry-after", 3600), 1),
        (Answer::new(400, ""), 1),
        (Answer::new(418, ""), 1),
    ] {
        let server = Server::start(move |_| answer.clone()).await;
        let error = plain_client().resolve(&reference(&server)).await.unwrap_err();
        assert!(matches!(error, Error::Status { .. }), "{error}");
        assert_eq!(server.lines().len(), requests, "{error}");
    }
}

fn index_of(media_type: &str, content: &str) -> String {
    format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{media_type}","digest":"{}","size":{},
            "platform":{{"os":"linux","architecture":"amd64"}}}}]}}"#,
        sha256(content.as_bytes()),
        content.len()
    )
}

#[tokio::test]
async fn an_index_leads_to_its_image_through_one_more_index_at_most() {
    let image = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json",
            "digest":"{}","size":1}},"layers":[]}}"#,
        sha256(b"c")
    );
    let once = index_of(OCI, &image);
    let twice = index_of(manifest::media_type::OCI_INDEX, &once);
    let thrice = index_of(manifest::media_type::OCI_INDEX, &twice);
    let documents = [image.clone(), once.clone(), twice.clone(), thrice.clone()];
    let server = Server::start(move |asked| {
        let name = asked.path.rsplit('/').next().unwrap();
        let found = documents.iter().find(|text| sha256(text.as_bytes()).to_string() == name);
        Answer::new(200, found.unwrap()).with("content-type", "application/json")
    })
    .await;
    let client = plain_client();
    let platform = "linux/amd64".parse().unwrap();
    for (top, by_index) in [(&image, false), (&once, true), (&twice, true)] {
        let selected = client.select(&reference(&server), &sha256(top.as_bytes()), &platform).await.unwrap();
        assert_eq!((selected.digest, selected.by_index), (sha256(image.as_bytes()), by_index));
        assert_eq!(selected.bytes, image.as_bytes());
    }
    let top = sha256(thrice.as_bytes());
    let error = client.select(&reference(&server), &top, &platform).await.unwrap_err();
    assert!(error.to_string().contains("nested more than 1 level"), "{error}");
    let other = "linux/s390x".parse().unwrap();
    let error = client.select(&reference(&server), &sha256(once.as_bytes()), &other).await.unwrap_err();
    assert!(error.to_string().contains("/a/b:1: no image for the platform linux/s390x"), "{error}");
    assert_eq!(error.remedy(), Remedy::Refuse);
}

#[tokio::test]
async fn a_manifest_with_other_bytes_is_asked_for_once_more() {
    for wrong in [1, 2] {
        let mut left = wrong;
        let server = Server::start(move |_| {
            let is_wrong = left > 0;
            left = if is_wrong { left - 1 } else { left };
            Answer::new(200, if is_wrong { "{!" } else { "{}" }).with("content-type", OCI)
        })
        .await;
        let manifest = plain_client().manifest(&reference(&server), &sha256(b"{}")).await;
        match manifest {
            Ok((bytes, _)) => assert_eq!((wrong, bytes), (1, b"{}".to_vec())),
            Err(error) => assert_eq!((wrong, error.remedy()), (2, Remedy::Corrupt), "{error}"),
        }
        assert_eq!(server.lines().len(), 2);
    }
}
