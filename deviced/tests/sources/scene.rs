//! What the tests share: images, registries, containers that want them.

use std::path::PathBuf;

use deviced::choose::Offer;
use deviced::document::container::Container;
use deviced::document::registry::Registry as Declared;
use deviced::sources::{RegistryState, Sources, Survey};
use dockerloader::config::RegistrySettings;
use dockerloader::digest::Digest;
use fixtures::image::{BuiltImage, Image, Layer, noise};
use fixtures::registry::{Kind, Registry};
use serde_json::{Value, json};

/// An image with one layer, which no other number has.
pub(crate) fn image(number: usize) -> BuiltImage {
    Image::with_entrypoint(format!("#!/bin/sh\necho {number}\n").as_bytes()).build()
}

/// An image with a layer of so many bytes.
pub(crate) fn large_image(seed: u64, bytes: usize) -> BuiltImage {
    Image::new().layer(Layer::new().file("data", 0o644, &noise(seed, bytes))).entrypoint(&["/data"]).build()
}

pub(crate) fn digest(image: &BuiltImage) -> Digest {
    image.digest.parse().unwrap()
}

/// A container of the image `app`.
pub(crate) fn container(versions: &[&str]) -> Container {
    with_image("app", versions)
}

pub(crate) fn with_image(image: &str, versions: &[&str]) -> Container {
    serde_json::from_value(json!({"id": "app", "image": image, "versions": versions})).unwrap()
}

/// A registry as a document declares it.
pub(crate) fn declared(url: &str, more: Value) -> Declared {
    let mut value = json!({"url": url});
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(value).unwrap()
}

pub(crate) fn plain(registries: &[&Registry]) -> Vec<Declared> {
    registries.iter().map(|registry| declared(&registry.origin(), json!({}))).collect()
}

/// What is remembered of registries, the first one being the closest.
pub(crate) fn remembered(registries: &[&Registry]) -> Vec<RegistryState> {
    let state = |(index, registry): (usize, &&Registry)| RegistryState {
        url: registry.origin(),
        up: true,
        latency: Some(std::time::Duration::from_secs(index as u64 + 1)),
        rank: index + 1,
        ..RegistryState::default()
    };
    registries.iter().enumerate().map(state).collect()
}

pub(crate) fn sources(registries: &[Declared]) -> Sources {
    Sources::new(registries, &[], &RegistrySettings::default(), &[].into())
}

/// Registries that are asked in this order.
pub(crate) fn in_order(registries: &[&Registry]) -> Sources {
    let (declared, remembered) = (plain(registries), remembered(registries));
    Sources::new(&declared, &remembered, &RegistrySettings::default(), &[].into())
}

/// Asks with nothing rejected.
pub(crate) async fn ask(sources: &Sources, container: &Container) -> Survey {
    sources.survey(container, None, &|_| false).await
}

/// Tags and registries of offers.
pub(crate) fn shown(survey: &Survey) -> Vec<(&str, &str)> {
    survey.offers.iter().map(|offer| (offer.version.as_str(), offer.registry.as_str())).collect()
}

pub(crate) fn heads(registry: &Registry) -> usize {
    registry.count("HEAD", Kind::Manifest)
}

/// All requests for tags, manifests and blobs.
pub(crate) fn requests(registry: &Registry) -> usize {
    registry.requests().iter().filter(|request| request.kind != Kind::Ping).count()
}

pub(crate) fn offer(registry: &str, repository: String, image: &BuiltImage) -> Offer {
    Offer {
        entry: Some(0),
        version: "v1".to_owned(),
        digest: digest(image),
        repository,
        registry: registry.to_owned(),
        known_for: std::time::Duration::ZERO,
    }
}

/// A file of a test's own folder.
pub(crate) fn file(directory: &tempfile::TempDir, name: &str, content: &str) -> PathBuf {
    use std::io::Write as _;
    let path = directory.path().join(name);
    std::fs::File::create(&path).unwrap().write_all(content.as_bytes()).unwrap();
    path
}
