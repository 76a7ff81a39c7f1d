//! One cell's world: the registry, a second host, a data directory, and the environment of the program.

use std::collections::BTreeMap;
use std::path::PathBuf;

use fixtures::registry::{Auth, Builder, Certificate, Kind, Registry, Rule};
use fixtures::scratch::Scratch;

use super::content::{Content, VERSION};
use super::phase::Phase;
use crate::failure::{Context as _, Result};

/// Whom the registry knows.
pub(super) const USER: &str = "robot";

/// What must never be seen anywhere but at the registry.
pub(super) const PASSWORD: &str = "hunter2-5up3r5ecret";

/// The query of an address that a redirect leads to, as object stores sign them.
pub(super) const SIGNATURE: &str = "X-Signature=5igned5ecret";

/// How long a registry may be silent in this test-bed.
pub(super) const TIMEOUT_MS: u64 = 3000;

/// What a pull meets.
#[derive(Debug)]
pub(super) struct World {
    pub(super) registry: Registry,
    /// Another host: it has the same content, asks nobody who they are, and must never be told.
    pub(super) second: Registry,
    /// What only has to be there: hosts that are no registry, and things that act while a pull runs.
    pub(super) kept: Vec<Box<dyn std::any::Any + Send>>,
    /// `host[:port]` of every host that an error may name.
    pub(super) at_fault: Vec<String>,
    pub(super) environment: BTreeMap<&'static str, String>,
    pub(super) scratch: Scratch,
}

/// How the two hosts are made.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// Whether the registry speaks TLS, with a certificate that is trusted.
    pub(super) tls: bool,
    /// The second host's certificate, and whether its authority is trusted.
    pub(super) second: Option<(Certificate, bool)>,
}

impl World {
    pub(super) fn new(shape: &Shape) -> Result<Self> {
        let auth = Auth::Bearer {
            credentials: Some((USER.to_owned(), PASSWORD.to_owned())),
            lifetime: std::time::Duration::from_secs(300),
        };
        let registry = tls(Registry::builder().auth(auth), shape.tls.then_some(Certificate::Good)).start();
        let second = tls(Registry::builder(), shape.second.map(|(certificate, _)| certificate)).start();
        let scratch = Scratch::within(&std::env::temp_dir(), "faults-").context("make a directory")?;
        let mut world = Self {
            at_fault: vec![registry.host()],
            environment: BTreeMap::new(),
            registry,
            second,
            kept: Vec::new(),
            scratch,
        };
        world.publish(&VERSION);
        let directory = world.scratch.path().to_owned();
        let data = world.data();
        std::fs::create_dir(&data).context("make a directory")?;
        let authority = format!("{USER}:{PASSWORD}");
        let auth = {
            use base64::Engine as _;
            base64::engine::general_purpose::STANDARD.encode(authority)
        };
        let config = format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, world.registry.host());
        std::fs::write(directory.join("config.json"), config).context("write config.json")?;
        let trusted = [
            world.registry.ca_pem(),
            world.second.ca_pem().filter(|_| shape.second.is_some_and(|(_, is_trusted)| is_trusted)),
        ];
        let trusted: String = trusted.into_iter().flatten().collect();
        if !trusted.is_empty() {
            let path = directory.join("ca.pem");
            std::fs::write(&path, trusted).context("write ca.pem")?;
            world.environment.insert("DOCKERLOADER_CA_FILE", path.display().to_string());
        }
        let target = world.registry.reference("app", "v");
        world.environment.extend([
            ("DOCKERLOADER_TARGET", target),
            ("DOCKERLOADER_DATA_DIR", data.display().to_string()),
            ("DOCKER_CONFIG", directory.display().to_string()),
            ("DOCKERLOADER_REGISTRY_TIMEOUT_MS", TIMEOUT_MS.to_string()),
            ("DOCKERLOADER_TREE_METHOD", "extract".to_owned()),
            ("DOCKERLOADER_LOG", "trace".to_owned()),
            ("DOCKERLOADER_LOG_FORMAT", "json".to_owned()),
            ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
        ]);
        Ok(world)
    }

    /// The data directory.
    pub(super) fn data(&self) -> PathBuf {
        self.scratch.path().join("data")
    }

    /// Points the tag to a version, at both hosts.
    pub(super) fn publish(&self, content: &Content) {
        for host in [&self.registry, &self.second] {
            host.put("app", "v", &content.index);
        }
    }

    /// The pull's requests of a phase.
    pub(super) fn rule(phase: Phase) -> Rule {
        match phase {
            Phase::Token => Rule::on(Kind::Token),
            Phase::Tag => Rule::on(Kind::Manifest).method("HEAD"),
            Phase::Index => Rule::on(Kind::Manifest).path(VERSION.index.digest.as_str()),
            Phase::Manifest => Rule::on(Kind::Manifest).path(&VERSION.image.digest),
            Phase::Config => Rule::on(Kind::Blob).path(&VERSION.image.config_digest),
            Phase::Blob => Rule::on(Kind::Blob).path(VERSION.layer()),
        }
    }

    /// From now on requests of this phase go to another origin, such as `http://127.0.0.1:5000`.
    pub(super) fn lead_away(&mut self, phase: Phase, origin: &str) {
        let host = origin.rsplit('/').next().unwrap_or_default().to_owned();
        match phase {
            Phase::Token => self.registry.token_service(Some(origin)),
            Phase::Tag => drop(self.environment.insert("DOCKERLOADER_TARGET", format!("{host}/app:v"))),
            phase => {
                let address = format!("{origin}{{path}}?{SIGNATURE}");
                self.registry.fault(Self::rule(phase), fixtures::registry::Fault::Redirect(address));
            }
        }
        self.at_fault.push(host);
    }

    /// Ends all faults: the registry is as it should be.
    pub(super) fn mend(&mut self) {
        self.registry.clear_faults();
        self.second.clear_faults();
        self.registry.token_service(None);
        self.publish(&VERSION);
        let target = self.registry.reference("app", "v");
        self.environment.insert("DOCKERLOADER_TARGET", target);
    }
}

fn tls(builder: Builder, certificate: Option<Certificate>) -> Builder {
    match certificate {
        Some(certificate) => builder.certificate(certificate),
        None => builder,
    }
}
