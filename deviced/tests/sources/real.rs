//! A registry of the CNCF distribution, as Debian has it.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use fixtures::image::{BuiltImage, Publish as _};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::http::request;
use crate::scene::*;

struct Real {
    host: String,
    process: Child,
    _directory: tempfile::TempDir,
}

impl Real {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let host = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let storage = directory.path().join("storage");
        let config = file(
            &directory,
            "config.yml",
            &json!({
                "version": 0.1, "log": {"level": "error"},
                "storage": {"filesystem": {"rootdirectory": storage}}, "http": {"addr": host},
            })
            .to_string(),
        );
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(config).env("OTEL_TRACES_EXPORTER", "none").kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().expect("docker-registry: apt-get install docker-registry");
        for _ in 0..600 {
            if TcpStream::connect(&host).await.is_ok() {
                return Self { host, process, _directory: directory };
            }
            assert_eq!(process.try_wait().unwrap(), None, "it ended");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("docker-registry does not listen at {host}");
    }

    async fn push(&self, repository: &str, tag: &str, image: &BuiltImage) {
        for (digest, bytes) in image.blobs() {
            let path = format!("/v2/{repository}/blobs/uploads/");
            let begun = request("POST", &self.host, &path, &[], &[]).await;
            let location = begun.header("location").expect("where to upload");
            let path = location.split_once(&self.host).map_or(location, |(_, path)| path);
            let path = format!("{path}{}digest={digest}", if path.contains('?') { '&' } else { '?' });
            let kind = [("content-type", "application/octet-stream")];
            assert_eq!(request("PUT", &self.host, &path, &kind, &bytes).await.status, 201);
        }
        let path = format!("/v2/{repository}/manifests/{tag}");
        let kind = [("content-type", image.media_type.as_str())];
        let put = request("PUT", &self.host, &path, &kind, &image.manifest).await;
        assert_eq!(put.status, 201, "{}", put.text());
    }
}

#[tokio::test]
async fn a_real_registry_is_asked_for_tags_ranges_and_digests() {
    let registry = Real::start().await;
    for minor in 0..12 {
        registry.push("team/app", &format!("1.{minor}.0"), &image(minor)).await;
    }
    registry.push("team/app", "latest", &image(3)).await;
    let url = format!("http://{}", registry.host);
    let sources = sources(&[declared(&url, json!({"prefix": "team"}))]);
    let (seven, by_digest) = (digest(&image(7)), image(7).digest);
    for (versions, expected, number) in [
        (vec!["latest"], "latest", 3),
        (vec!["^1"], "1.11.0", 11),
        (vec!["~1.9"], "1.9.0", 9),
        (vec!["2", "1.4.0"], "1.4.0", 4),
        (vec![by_digest.as_str()], by_digest.as_str(), 7),
    ] {
        let survey = ask(&sources, &container(&versions)).await;
        let found: Vec<_> = survey.offers.iter().map(|one| (one.version.as_str(), one.digest)).collect();
        assert_eq!(found, [(expected, digest(&image(number)))], "{versions:?} {:?}", survey.problems);
    }
    let survey = sources.survey(&container(&["1.7.0", "1.6.0"]), None, &|one| *one == seven).await;
    assert_eq!(survey.offers.len(), 2);
    let survey = ask(&sources, &with_image("nothing", &["latest", "^1"])).await;
    assert_eq!((survey.offers.len(), survey.problems.len()), (0, 2), "{:?}", survey.problems);
    assert!(sources.states()[0].up);
    drop(registry.process);
}
