use deviced::sources::{Pulling, Sources};
use fixtures::image::{BuiltImage, Index};
use fixtures::registry::{Fault, Kind, Registry, Rule};
use fixtures::sha256;
use serde_json::json;

use crate::http::{get, request};
use crate::scene::*;

/// Host and path of what a pull through the relay gets.
struct Through(Pulling);

impl Through {
    /// The relay is the second way of every pull.
    async fn open(sources: &Sources, registry: &Registry, image: &BuiltImage) -> Self {
        let offer = offer(&registry.origin(), format!("{}/app", registry.host()), image);
        Self(sources.for_pull("app", None, &offer, 1).await.unwrap())
    }

    fn host(&self) -> &str {
        self.0.pull.repository.split_once('/').unwrap().0
    }

    fn path(&self, kind: &str, name: &str) -> String {
        format!("/v2/{}/{kind}/{name}", self.0.pull.repository.split_once('/').unwrap().1)
    }

    async fn manifest(&self, digest: &str) -> crate::http::Response {
        get(self.host(), &self.path("manifests", digest)).await
    }

    async fn blob(&self, digest: &str) -> crate::http::Response {
        get(self.host(), &self.path("blobs", digest)).await
    }

    /// The image's only layer, after its manifest.
    async fn layer(&self, image: &BuiltImage) -> crate::http::Response {
        assert_eq!(self.manifest(&image.digest).await.status, 200);
        self.blob(&image.layers[0].digest).await
    }
}

#[tokio::test]
async fn a_pull_gets_what_was_announced_and_nothing_else() {
    let registry = Registry::start();
    let (wanted, other) = (image(1), image(2));
    registry.put("app", "v1", &wanted);
    registry.put("app", "v2", &other);
    let sources = sources(&plain(&[&registry]));
    let pull = Through::open(&sources, &registry, &wanted).await;
    assert_eq!((pull.0.from.as_str(), pull.0.pull.credentials.as_ref()), ("the relay", None));
    assert_eq!(pull.0.pull.digest, wanted.digest);
    assert!(pull.host().starts_with("127.0.0.1:"));
    assert_eq!(get(pull.host(), "/v2/").await.status, 200);
    let layer = &wanted.layers[0];
    assert_eq!(pull.blob(&layer.digest).await.status, 404, "no manifest has named it yet");
    let manifest = pull.manifest(&wanted.digest).await;
    assert_eq!((manifest.status, manifest.body.as_slice()), (200, &wanted.manifest[..]));
    assert_eq!(manifest.header("content-type"), Some(wanted.media_type.as_str()));
    assert_eq!(manifest.header("docker-content-digest"), Some(wanted.digest.as_str()));
    for (digest, content) in [(&layer.digest, &layer.bytes), (&wanted.config_digest, &wanted.config)] {
        let blob = pull.blob(digest).await;
        assert_eq!((blob.status, blob.body.as_slice()), (200, &content[..]));
        let head = request("HEAD", pull.host(), &pull.path("blobs", digest), &[], &[]).await;
        assert_eq!(head.header("content-length"), Some(content.len().to_string().as_str()));
        assert_eq!((head.status, head.body.len()), (200, 0));
    }
    assert_eq!(registry.count("GET", Kind::Manifest), 1, "a manifest is fetched once");
    for path in [
        pull.path("manifests", "v1"),
        pull.path("manifests", &other.digest),
        pull.path("blobs", &other.layers[0].digest),
        pull.path("tags", "list"),
        format!("/v2/{}/app/manifests/{}", "0".repeat(32), wanted.digest),
        format!("/v2/app/manifests/{}", wanted.digest),
        "/v2/_catalog".to_owned(),
        "/".to_owned(),
    ] {
        let refused = get(pull.host(), &path).await;
        assert_eq!(refused.status, 404, "{path}");
        assert!(refused.text().contains("NAME_UNKNOWN"), "{path}");
    }
    let push = request("PUT", pull.host(), &pull.path("manifests", "v1"), &[], b"x").await;
    assert_eq!(push.status, 405);
    let second = Through::open(&sources, &registry, &wanted).await;
    assert_ne!(second.0.pull.repository, pull.0.pull.repository, "each pull has a key of its own");
    drop(pull);
    assert_eq!(get(second.host(), "/v2/").await.status, 200);
    let (host, path) = (second.host().to_owned(), second.path("manifests", &wanted.digest));
    drop(second);
    assert_eq!(get(&host, &path).await.status, 404, "it is over");
}

#[tokio::test]
async fn an_index_leads_to_its_manifests() {
    let registry = Registry::start();
    let (one, other) = (image(1), image(2));
    let index = Index::new().image(&one).image(&other).build();
    registry.put("app", "v1", &index);
    let sources = sources(&plain(&[&registry]));
    let mut offer = offer(&registry.origin(), format!("{}/app", registry.host()), &one);
    offer.digest = index.digest.parse().unwrap();
    let pull = Through(sources.for_pull("app", None, &offer, 1).await.unwrap());
    assert_eq!(pull.manifest(&one.digest).await.status, 404);
    let found = pull.manifest(&index.digest).await;
    assert_eq!((found.status, found.header("content-type")), (200, Some(index.media_type.as_str())));
    assert_eq!(pull.layer(&other).await.body, other.layers[0].bytes);
}

#[tokio::test]
async fn a_blob_that_breaks_off_goes_on_at_the_next_registry() {
    let image = large_image(1, 1 << 20);
    let layer = &image.layers[0];
    let half = layer.bytes.len() as u64 / 2;
    for fault in
        [Fault::Reset { after: half }, Fault::Truncate { after: half }, Fault::status(500), Fault::Close]
    {
        let (near, far) = (Registry::start(), Registry::start());
        near.put("app", "v1", &image);
        far.put("app", "v1", &image);
        near.fault(Rule::on(Kind::Blob), fault.clone());
        let pull = Through::open(&in_order(&[&near, &far]), &near, &image).await;
        let blob = pull.layer(&image).await;
        assert!(blob.is_whole() && blob.body == layer.bytes, "{fault:?}");
        assert_eq!((near.count("GET", Kind::Blob), far.count("GET", Kind::Blob)), (1, 1), "{fault:?}");
        // What a reset connection has lost is sent again; nothing else is.
        if matches!(fault, Fault::Truncate { .. }) {
            assert!(near.sent() + far.sent() < layer.bytes.len() as u64 + (64 << 10), "nothing comes twice");
        }
    }
}

#[tokio::test]
async fn a_registry_that_can_not_send_parts_is_read_from_its_start() {
    let image = large_image(2, 1 << 20);
    let (near, far) = (Registry::start(), Registry::start());
    near.put("app", "v1", &image);
    far.put("app", "v1", &image);
    near.fault(Rule::on(Kind::Blob), Fault::Truncate { after: 300_000 });
    far.fault(Rule::on(Kind::Blob), Fault::IgnoreRange);
    let pull = Through::open(&in_order(&[&near, &far]), &near, &image).await;
    let blob = pull.layer(&image).await;
    assert!(blob.is_whole() && blob.body == image.layers[0].bytes);
}

#[tokio::test]
async fn one_registry_that_breaks_off_again_and_again_is_enough() {
    let image = large_image(3, 1 << 20);
    let registry = Registry::start();
    registry.put("app", "v1", &image);
    registry.fault(Rule::on(Kind::Blob), Fault::Reset { after: 400_000 });
    let pull = Through::open(&sources(&plain(&[&registry])), &registry, &image).await;
    let blob = pull.layer(&image).await;
    assert!(blob.is_whole() && blob.body == image.layers[0].bytes);
    assert!(registry.count("GET", Kind::Blob) >= 3);
}

#[tokio::test]
async fn a_wrong_blob_is_cut_off_and_asked_for_elsewhere_next_time() {
    let image = large_image(4, 1 << 20);
    let layer = &image.layers[0];
    for fault in [
        Fault::WrongByte { at: 77 },
        Fault::WrongByte { at: layer.bytes.len() as u64 - 1 },
        Fault::Replace(vec![7; layer.bytes.len()].into()),
    ] {
        let (near, far) = (Registry::start(), Registry::start());
        near.put("app", "v1", &image);
        far.put("app", "v1", &image);
        near.fault(Rule::on(Kind::Blob), fault.clone());
        let sources = in_order(&[&near, &far]);
        let pull = Through::open(&sources, &near, &image).await;
        let wrong = pull.layer(&image).await;
        assert!(!wrong.is_whole() && wrong.body.len() < layer.bytes.len(), "{fault:?}");
        let blob = pull.blob(&layer.digest).await;
        assert!(blob.is_whole() && blob.body == layer.bytes, "{fault:?}");
        let state = sources.states().into_iter().find(|state| state.url == near.origin()).unwrap();
        assert!(state.problem.unwrap().contains("has the digest"), "{fault:?}");
    }
}

#[tokio::test]
async fn a_blob_of_another_length_is_not_the_one() {
    let image = image(5);
    for fault in
        [Fault::Oversize { extra: 9 }, Fault::OversizeChunked { extra: 9 }, Fault::Undersize { missing: 9 }]
    {
        let registry = Registry::start();
        registry.put("app", "v1", &image);
        registry.fault(Rule::on(Kind::Blob), fault.clone());
        let pull = Through::open(&sources(&plain(&[&registry])), &registry, &image).await;
        let blob = pull.layer(&image).await;
        assert!(blob.status == 502 || !blob.is_whole(), "{fault:?} {}", blob.status);
    }
}

#[tokio::test]
async fn why_it_can_not_be_had_is_said() {
    let registry = Registry::start();
    let wanted = image(6);
    registry.put("app", "v1", &wanted);
    let sources = sources(&plain(&[&registry]));
    let pull = Through::open(&sources, &registry, &wanted).await;
    assert_eq!(pull.manifest(&wanted.digest).await.status, 200);
    registry.remove("app", &wanted.layers[0].digest);
    let blob = pull.blob(&wanted.layers[0].digest).await;
    assert_eq!(blob.status, 502);
    assert!(blob.text().contains("not found"), "{}", blob.text());
    let gone = image(7);
    let pull = Through::open(&sources, &registry, &gone).await;
    let manifest = pull.manifest(&gone.digest).await;
    assert!(manifest.status == 404 && manifest.text().contains(&gone.digest), "{}", manifest.text());
    // An artifact that is no image.
    let artifact =
        json!({"schemaVersion": 2, "mediaType": "application/x", "config": {}, "layers": []}).to_string();
    let digest = sha256(artifact.as_bytes());
    registry.put_manifest("app", "x", &digest, "application/x", artifact);
    let mut offer = offer(&registry.origin(), format!("{}/app", registry.host()), &gone);
    offer.digest = digest.parse().unwrap();
    let pull = Through(sources.for_pull("app", None, &offer, 1).await.unwrap());
    assert_eq!(pull.manifest(&digest).await.status, 404);
}

#[tokio::test]
async fn a_wrong_manifest_is_never_handed_on() {
    let (near, far) = (Registry::start(), Registry::start());
    let wanted = image(8);
    near.put("app", "v1", &wanted);
    far.put("app", "v1", &wanted);
    near.fault(Rule::on(Kind::Manifest), Fault::Replace(image(9).manifest));
    let pull = Through::open(&in_order(&[&near, &far]), &near, &wanted).await;
    let manifest = pull.manifest(&wanted.digest).await;
    assert_eq!((manifest.status, manifest.body.as_slice()), (200, &wanted.manifest[..]));
}
