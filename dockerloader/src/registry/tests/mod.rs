//! The client against servers that answer by a script, over real sockets on loopback.

mod auth;
mod blobs;
mod discovery;
mod environment;
mod hosts;
mod manifests;
mod server;

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::manifest::Descriptor;
use server::{Answer, Asked, Server};

const OCI: &str = manifest::media_type::OCI_MANIFEST;

fn client_with(settings: &RegistrySettings, limits: Limits) -> Client {
    let deadlines = Deadlines { stall: Duration::from_millis(150), ..Deadlines::of(settings.timeout) };
    let policy = retry::Policy::default();
    Client::with(settings, limits, policy, deadlines, Pauses::Noted(Mutex::default())).unwrap()
}

fn client(settings: &RegistrySettings) -> Client {
    client_with(settings, Limits::default())
}

fn plain_client() -> Client {
    client(&RegistrySettings::default())
}

impl Client {
    fn noted_pauses(&self) -> Vec<Duration> {
        match &self.pauses {
            Pauses::Noted(pauses) => pauses.lock().unwrap().clone(),
            Pauses::Real => Vec::new(),
        }
    }
}

/// `a/b:1` at a server.
fn reference(server: &Server) -> Reference {
    format!("{}/a/b:1", server.host()).parse().unwrap()
}

fn descriptor(content: &[u8]) -> Descriptor {
    Descriptor {
        media_type: "application/vnd.oci.image.layer.v1.tar".to_owned(),
        digest: sha256(content),
        size: content.len() as u64,
        urls: Vec::new(),
        annotations: std::collections::BTreeMap::new(),
        platform: None,
    }
}

async fn all(mut blob: Blob) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = blob.chunk().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// A Docker configuration with a password for one host.
fn docker_config(directory: &Path, host: &str, user_and_password: &str) {
    use base64::Engine as _;
    let auth = base64::engine::general_purpose::STANDARD.encode(user_and_password);
    write_config(directory, &format!(r#"{{"auths":{{"{host}":{{"auth":"{auth}"}}}}}}"#));
}

fn write_config(directory: &Path, text: &str) {
    use std::io::Write as _;
    std::fs::File::create(directory.join("config.json")).unwrap().write_all(text.as_bytes()).unwrap();
}
