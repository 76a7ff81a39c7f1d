use super::*;
use crate::remedy::Remedy;

const CONTENT: &[u8] = b"0123456789";

async fn fetch(server: &Server, offset: u64) -> Result<(u64, Vec<u8>), Error> {
    let blob = plain_client().blob(&reference(server), &descriptor(CONTENT), offset).await?;
    let start = blob.start;
    Ok((start, all(blob).await?))
}

#[tokio::test]
async fn a_blob_can_be_gone_on_with() {
    let server = Server::start(|asked| match asked.header("range") {
        Some("bytes=4-") => Answer::new(206, &CONTENT[4..]).with("content-range", "bytes 4-9/10"),
        None => Answer::new(200, CONTENT),
        other => panic!("{other:?}"),
    })
    .await;
    assert_eq!(fetch(&server, 4).await.unwrap(), (4, CONTENT[4..].to_owned()));
    assert_eq!(fetch(&server, 0).await.unwrap(), (0, CONTENT.to_owned()));
    assert_eq!(fetch(&server, 11).await.unwrap(), (0, CONTENT.to_owned()), "too long to be the beginning");
    let asked = server.last("GET");
    assert_eq!((asked.header("accept-encoding"), asked.header("accept")), (Some("identity"), Some("*/*")));
    let before = server.lines().len();
    assert_eq!(fetch(&server, 10).await.unwrap(), (10, Vec::new()));
    assert_eq!(server.lines().len(), before, "what is there already is not asked for");
}

#[tokio::test]
async fn a_registry_that_cannot_send_parts_sends_the_whole() {
    for part in [
        Answer::new(200, CONTENT),
        Answer::new(206, &CONTENT[3..]).with("content-range", "bytes 3-9/10"),
        Answer::new(206, &CONTENT[4..]),
        Answer::new(416, "").with("content-range", "bytes */10"),
    ] {
        let server = Server::start(move |asked| match asked.header("range") {
            Some(_) => part.clone(),
            None => Answer::new(200, CONTENT),
        })
        .await;
        assert_eq!(fetch(&server, 4).await.unwrap(), (0, CONTENT.to_owned()));
    }
}

#[tokio::test]
async fn a_part_of_a_blob_can_be_asked_for() {
    let part = || Answer::new(206, &CONTENT[2..6]).with("content-range", "bytes 2-5/10");
    for (answer, expected) in [
        (part(), 2..6),
        (Answer::new(206, &CONTENT[2..]).with("content-range", "bytes 2-9/10"), 2..6),
        (Answer::new(200, CONTENT), 0..10),
        (Answer::new(416, "").with("content-range", "bytes */10"), 0..10),
        (Answer::new(206, &CONTENT[..6]).with("content-range", "bytes 0-5/10"), 0..10),
    ] {
        let server = Server::start(move |asked| match asked.header("range") {
            Some("bytes=2-5") => answer.clone(),
            None => Answer::new(200, CONTENT),
            other => panic!("{other:?}"),
        })
        .await;
        let client = plain_client();
        let blob = client.blob_range(&reference(&server), &descriptor(CONTENT), 2..6).await.unwrap();
        assert_eq!(blob.start..blob.end, expected);
        let bytes =
            CONTENT[usize::try_from(blob.start).unwrap()..usize::try_from(blob.end).unwrap()].to_vec();
        assert_eq!(all(blob).await.unwrap(), bytes);
    }

    let server = Server::start(|asked| match asked.header("range") {
        Some("bytes=2-5") => Answer::new(206, &CONTENT[2..4]).with("content-range", "bytes 2-3/10"),
        Some("bytes=8-") => Answer::new(206, &CONTENT[8..]).with("content-range", "bytes 8-9/10"),
        other => panic!("{other:?}"),
    })
    .await;
    let ask = async |range| {
        all(plain_client().blob_range(&reference(&server), &descriptor(CONTENT), range).await.unwrap()).await
    };
    let error = ask(2..6).await.unwrap_err();
    assert!(matches!(error, Error::Truncated { found: 4, expected: 6, .. }), "{error}");
    assert_eq!(ask(8..99).await.unwrap(), &CONTENT[8..], "the blob has no more");
    let before = server.lines().len();
    assert_eq!(ask(3..3).await.unwrap(), b"");
    assert_eq!(server.lines().len(), before, "nothing is not asked for");

    let server =
        Server::start(|_| Answer::new(206, &CONTENT[2..6]).with("content-range", "bytes 2-5/11")).await;
    let refused = plain_client().blob_range(&reference(&server), &descriptor(CONTENT), 2..6).await;
    assert!(matches!(refused, Err(Error::Size { found: 11, expected: 10, .. })), "{refused:?}");
}

#[tokio::test]
async fn another_length_than_the_descriptors_is_noticed_before_the_body() {
    for (offset, answer, length) in [
        (0, Answer::new(200, b"012345678"), 9),
        (0, Answer::new(200, "").hanging(1 << 40), 1 << 40),
        (4, Answer::new(206, b"456789x").with("content-range", "bytes 4-10/11"), 11),
    ] {
        let server = Server::start(move |_| answer.clone()).await;
        let error = fetch(&server, offset).await.unwrap_err();
        assert!(matches!(error, Error::Size { found, expected: 10, .. } if found == length), "{error}");
        assert_eq!(error.remedy(), Remedy::Corrupt);
    }
}

#[tokio::test]
async fn a_body_is_cut_off_at_its_length() {
    for answer in [Answer::new(200, b"0123456789x").chunked(), Answer::new(200, vec![0; 4096]).endless()] {
        let server = Server::start(move |_| answer.clone()).await;
        let error = fetch(&server, 0).await.unwrap_err();
        assert!(matches!(error, Error::Size { expected: 10, .. }), "{error}");
    }
}

#[tokio::test]
async fn a_body_that_ends_early_can_be_asked_for_again() {
    for answer in [
        Answer::new(200, &CONTENT[..6]).short_of(10),
        Answer::new(200, &CONTENT[..6]).chunked(),
        Answer::new(200, &CONTENT[..6]).hanging(10),
    ] {
        let is_hanging = format!("{answer:?}").contains("Hanging");
        let server = Server::start(move |_| answer.clone()).await;
        let mut blob = plain_client().blob(&reference(&server), &descriptor(CONTENT), 0).await.unwrap();
        let mut got = Vec::new();
        let error = loop {
            match blob.chunk().await {
                Ok(chunk) => got.extend_from_slice(&chunk.expect("an end is an error here")),
                Err(error) => break error,
            }
        };
        assert_eq!((got.as_slice(), blob.position()), (&CONTENT[..6], 6));
        if is_hanging {
            assert!(matches!(error, Error::Timeout { what: "no more bytes", .. }), "{error}");
        } else {
            assert!(matches!(error, Error::Truncated { found: 6, expected: 10, .. }), "{error}");
        }
        assert_eq!(error.remedy(), Remedy::Retry);
    }
}

#[tokio::test]
async fn a_download_goes_on_where_it_was_cut() {
    // Three bytes a connection, and now and then none at all.
    let mut count = 0;
    let server = Server::start(move |asked| {
        count += 1;
        if count % 3 == 0 {
            return Answer::new(502, "");
        }
        let first: usize =
            asked.header("range").map_or(0, |range| range[6..range.len() - 1].parse().unwrap());
        let last = (first + 3).min(10);
        let answer =
            Answer::new(if first == 0 { 200 } else { 206 }, &CONTENT[first..last]).short_of(10 - first);
        answer.with("content-range", format!("bytes {first}-9/10"))
    })
    .await;
    let (client, descriptor) = (plain_client(), descriptor(CONTENT));
    let mut attempts = retry::Attempts::default();
    let mut got = Vec::new();
    while (got.len() as u64) < descriptor.size {
        let error = match client.blob(&reference(&server), &descriptor, got.len() as u64).await {
            Err(error) => error,
            Ok(mut blob) => loop {
                got.truncate(usize::try_from(blob.position()).unwrap());
                match blob.chunk().await {
                    Ok(Some(chunk)) => got.extend_from_slice(&chunk),
                    Ok(None) => break Error::Refused { host: "not an error".to_owned() },
                    Err(error) => break error,
                }
            },
        };
        if (got.len() as u64) < descriptor.size {
            client.pause_after(&mut attempts, error).await.unwrap();
        }
    }
    assert_eq!(got, CONTENT);
}

#[tokio::test]
async fn credentials_stay_at_the_registry_when_it_redirects() {
    let storage = Server::start(|_| Answer::new(200, CONTENT)).await;
    let elsewhere = storage.host();
    let registry = Server::start(move |asked| match (asked.header("authorization"), asked.path.as_str()) {
        (None, _) => Answer::new(401, "").with("www-authenticate", "Basic realm=\"r\""),
        (Some(_), "/elsewhere") => {
            Answer::new(307, "").with("location", format!("http://{elsewhere}/signed?key=s3cret"))
        }
        (Some(_), _) => Answer::new(307, "").with("location", "/elsewhere"),
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    docker_config(directory.path(), &registry.host(), "u:p");
    let settings =
        RegistrySettings { docker_config: Some(directory.path().to_owned()), ..RegistrySettings::default() };
    let blob = client(&settings).blob(&reference(&registry), &descriptor(CONTENT), 0).await.unwrap();
    assert_eq!(all(blob).await.unwrap(), CONTENT);
    assert_eq!(registry.last("GET /elsewhere").header("authorization"), Some("Basic dTpw"), "the same host");
    assert_eq!(storage.last("GET /signed").header("authorization"), None, "another host");
}

#[tokio::test]
async fn a_redirect_cannot_ask_for_the_credentials_of_the_registry() {
    let storage = Server::start(|asked| {
        let host = asked.header("host").unwrap();
        Answer::new(401, "").with("www-authenticate", format!("Bearer realm=\"http://{host}/token\""))
    })
    .await;
    let location = format!("http://{}/x", storage.host());
    let registry = Server::start(move |_| Answer::new(307, "").with("location", &location)).await;
    let directory = tempfile::tempdir().unwrap();
    docker_config(directory.path(), &registry.host(), "u:p");
    let settings =
        RegistrySettings { docker_config: Some(directory.path().to_owned()), ..RegistrySettings::default() };
    let error = client(&settings).blob(&reference(&registry), &descriptor(CONTENT), 0).await.unwrap_err();
    assert!(matches!(error, Error::Elsewhere { status: 401, .. }), "{error}");
    assert_eq!(storage.lines(), ["GET /x"]);
}

#[tokio::test]
async fn redirects_that_lead_nowhere_good_are_refused() {
    for (location, hint) in [
        (Some("/v2/again"), "more than 5 times"),
        (Some("file:///etc/passwd"), "to a file address"),
        (Some("http://user:secret@127.0.0.1:1/"), "with a user name"),
        (None, "to nowhere"),
    ] {
        let server = Server::start(move |_| match location {
            Some(location) => Answer::new(302, "").with("location", location),
            None => Answer::new(302, ""),
        })
        .await;
        let error = fetch(&server, 0).await.unwrap_err();
        assert!(error.to_string().contains(hint) && !error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_foreign_layer_is_fetched_from_its_address_without_credentials() {
    let foreign = Server::start(|_| Answer::new(200, CONTENT)).await;
    let registry = Server::start(|asked| match asked.header("authorization") {
        None => Answer::new(401, "").with("www-authenticate", "Basic realm=\"r\""),
        Some(_) => Answer::new(404, ""),
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    docker_config(directory.path(), &registry.host(), "u:p");
    let settings =
        RegistrySettings { docker_config: Some(directory.path().to_owned()), ..RegistrySettings::default() };
    let mut descriptor = descriptor(CONTENT);
    let error = client(&settings).blob(&reference(&registry), &descriptor, 0).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    descriptor.urls =
        vec![format!("http://x:y@{}/a", foreign.host()), format!("http://{}/layer", foreign.host())];
    let blob = client(&settings).blob(&reference(&registry), &descriptor, 0).await.unwrap();
    assert_eq!(all(blob).await.unwrap(), CONTENT);
    assert_eq!(foreign.lines(), ["GET /layer"]);
    assert_eq!(foreign.last("GET").header("authorization"), None);
}

#[tokio::test]
async fn a_download_can_be_moved_to_another_task() {
    let server = Server::start(|_| Answer::new(200, CONTENT)).await;
    let (client, reference) = (Arc::new(plain_client()), reference(&server));
    let task = tokio::spawn(async move {
        let blob = client.blob(&reference, &descriptor(CONTENT), 0).await?;
        all(blob).await
    });
    assert_eq!(task.await.unwrap().unwrap(), CONTENT);
}

#[tokio::test]
async fn a_refusal_of_another_host_is_not_taken_for_the_registrys() {
    for (status, remedy) in
        [(403, Remedy::Retry), (401, Remedy::Retry), (503, Remedy::Retry), (404, Remedy::Later)]
    {
        let store = Server::start(move |_| Answer::new(status, "Request has expired")).await;
        let location = format!("http://{}/x?signature=secret", store.host());
        let server = Server::start(move |_| Answer::new(307, "").with("location", &location)).await;
        let error = plain_client().blob(&reference(&server), &descriptor(CONTENT), 0).await.unwrap_err();
        let text = error.to_string();
        for word in [server.host(), store.host(), status.to_string(), "Request has expired".to_owned()] {
            assert!(text.contains(&word), "{word:?} is not in: {text}");
        }
        assert!(!text.contains("secret"), "{text}");
        assert_eq!(error.remedy(), remedy, "{text}");
    }
}
