//! Pulls by the real daemon.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use bollard::auth::DockerCredentials;
use bollard::query_parameters::CreateImageOptionsBuilder;
use bollard::{API_DEFAULT_VERSION, Docker};
use deviced::engine::Pull;
use fixtures::engine_proxy::engine_socket;
use fixtures::image::BuiltImage;
use fixtures::registry::{Auth, Fault, Kind, Registry, Rule};
use futures_util::TryStreamExt as _;
use serde_json::json;

use crate::scene::*;

/// An image that the daemon has, until this is dropped.
struct Pulled {
    name: String,
    layers: Vec<String>,
}

impl Drop for Pulled {
    fn drop(&mut self) {
        let Ok(mut stream) = UnixStream::connect(engine_socket()) else { return };
        let request = format!("DELETE /images/{}?force=1 HTTP/1.0\r\n\r\n", self.name);
        let _ = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_end(&mut Vec::new()));
    }
}

/// Pulls as the engine is told to, by the daemon's own API.
async fn pull(what: &Pull) -> Result<Pulled, String> {
    let docker = Docker::connect_with_unix(&engine_socket().display().to_string(), 60, API_DEFAULT_VERSION)
        .expect("a Docker daemon");
    let docker = docker.negotiate_version().await.expect("a Docker daemon that answers");
    let options = CreateImageOptionsBuilder::new().from_image(&what.repository).tag(&what.digest).build();
    let credentials = what.credentials.clone().map(|(user, password)| DockerCredentials {
        username: Some(user),
        password: Some(password),
        ..DockerCredentials::default()
    });
    let progress = docker.create_image(Some(options), None, credentials);
    progress.try_collect::<Vec<_>>().await.map_err(|error| error.to_string())?;
    let name = format!("{}@{}", what.repository, what.digest);
    let found = docker.inspect_image(&name).await.map_err(|error| error.to_string())?;
    let layers = found.root_fs.and_then(|files| files.layers).unwrap_or_default();
    Ok(Pulled { name, layers })
}

/// An image that no test has pulled before.
fn new_image(bytes: usize) -> BuiltImage {
    let now = dockerloader::clock::unix_time().as_nanos();
    large_image(u64::from(std::process::id()) ^ u64::try_from(now & u128::from(u64::MAX)).unwrap(), bytes)
}

fn is(pulled: &Pulled, image: &BuiltImage) -> bool {
    pulled.layers == [image.layers[0].diff_id.clone()]
}

#[tokio::test]
async fn docker_pulls_itself_where_it_can() {
    let auth = Auth::Basic { user: "box".to_owned(), password: "hunter2".to_owned() };
    let registry = Registry::builder().auth(auth).start();
    let image = new_image(100_000);
    registry.put("app", "v1", &image);
    let directory = tempfile::tempdir().unwrap();
    let password = file(&directory, "password", "hunter2");
    let credentials = json!({"credentials": {"username": "box", "passwordFile": password}});
    let sources = sources(&[declared(&registry.origin(), credentials)]);
    let survey = ask(&sources, &container(&["v1"])).await;
    // The tag moves before the pull: what was offered is pulled.
    registry.put("app", "v1", &new_image(1000));
    let pulling = sources.for_pull("app", None, &survey.offers[0], 0).await.unwrap();
    assert_eq!(
        (pulling.from.clone(), pulling.pull.repository.clone()),
        (registry.origin(), format!("{}/app", registry.host()))
    );
    assert!(!format!("{pulling:?}").contains("hunter2"));
    assert!(is(&pull(&pulling.pull).await.unwrap(), &image));
}

#[tokio::test]
async fn docker_pulls_through_the_relay_what_wants_a_password_an_authority_and_a_header() {
    let auth = Auth::Bearer {
        credentials: Some(("box".to_owned(), "hunter2".to_owned())),
        lifetime: std::time::Duration::from_secs(300),
    };
    let registry = Registry::builder().auth(auth).header("X-Site", "7").tls().start();
    let image = new_image(3 << 20);
    registry.put("mirror/app", "v1", &image);
    let directory = tempfile::tempdir().unwrap();
    let ca = file(&directory, "ca.pem", registry.ca_pem().unwrap());
    let password = file(&directory, "password", "hunter2");
    let sources = sources(&[declared(
        &registry.origin(),
        json!({
            "prefix": "mirror", "ca": ca, "headers": {"X-Site": "7"},
            "credentials": {"username": "box", "passwordFile": password},
        }),
    )]);
    let survey = ask(&sources, &container(&["v1"])).await;
    let pulling = sources.for_pull("app", None, &survey.offers[0], 0).await.unwrap();
    assert_eq!(pulling.from, "the relay");
    assert!(is(&pull(&pulling.pull).await.unwrap(), &image));
    // Itself it could not have.
    let direct = Pull {
        repository: survey.offers[0].repository.clone(),
        digest: image.digest.clone(),
        platform: None,
        credentials: Some(("box".to_owned(), "hunter2".to_owned())),
    };
    assert!(pull(&direct).await.is_err());
}

#[tokio::test]
async fn a_registry_that_dies_in_the_middle_of_a_blob_is_replaced_by_the_next() {
    let (near, far) = (Registry::start(), Registry::start());
    let image = new_image(4 << 20);
    near.put("app", "v1", &image);
    far.put("app", "v1", &image);
    let layer = &image.layers[0];
    let gate = near.gate(Rule::on(Kind::Blob).path(&layer.digest), layer.bytes.len() as u64 / 2);
    let sources = in_order(&[&near, &far]);
    let offer = offer(&near.origin(), format!("{}/app", near.host()), &image);
    let pulling = sources.for_pull("app", None, &offer, 1).await.unwrap();
    let kill = async {
        gate.reached().await;
        near.go_away();
    };
    let (pulled, ()) = tokio::join!(pull(&pulling.pull), kill);
    assert!(is(&pulled.unwrap(), &image));
    assert!(near.sent() > 0 && far.sent() > 0);
    let ranges = far.requests().into_iter().filter(|request| request.path.contains(&layer.digest));
    assert!(
        ranges.map(|request| request.range).all(|range| range.is_some()),
        "the rest alone came from there"
    );
}

#[tokio::test]
async fn after_a_failure_the_next_attempt_takes_another_way() {
    let (near, far) = (Registry::start(), Registry::start());
    let image = new_image(1 << 20);
    near.put("app", "v1", &image);
    far.put("app", "v1", &image);
    near.fault(Rule::on(Kind::Blob), Fault::status(404));
    let sources = in_order(&[&near, &far]);
    let offer = offer(&near.origin(), format!("{}/app", near.host()), &image);
    let mut ways = Vec::new();
    for attempt in 0..2 {
        let pulling = sources.for_pull("app", None, &offer, attempt).await.unwrap();
        let pulled = pull(&pulling.pull).await;
        ways.push((pulling.from.clone(), pulled.is_ok_and(|pulled| is(&pulled, &image))));
    }
    assert_eq!(ways, [(near.origin(), false), ("the relay".to_owned(), true)]);
}

#[tokio::test]
async fn docker_never_takes_a_wrong_blob() {
    let registry = Registry::start();
    let image = new_image(300_000);
    registry.put("app", "v1", &image);
    registry.fault(Rule::on(Kind::Blob).path(&image.layers[0].digest).times(1), Fault::WrongByte { at: 9 });
    let sources = sources(&plain(&[&registry]));
    let offer = offer(&registry.origin(), format!("{}/app", registry.host()), &image);
    let pulling = sources.for_pull("app", None, &offer, 1).await.unwrap();
    // It asks again by itself, and gets the right one then.
    assert!(is(&pull(&pulling.pull).await.unwrap(), &image));
}
