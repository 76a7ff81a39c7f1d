//! The document's `run` -> specs, with what is outside the document: files of variables, and deviced's own environment.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::state::Loop;
use crate::desired::{self, Desired};
use crate::document::Document;
use crate::document::container::Container;
use crate::document::run::Run;
use crate::engine::Engine;
use crate::probe::Probe;
use crate::spec::{self, Environment, Names, Spec};

/// Bytes of a file of variables, or of a security profile, at most.
const MAX_ENV_FILE: u64 = 1 << 20;

impl<E: Engine, P: Probe> Loop<E, P> {
    /// What a document wants, with what was said over it; versions are not chosen yet.
    pub(super) fn desired(&self, document: &Document, revision: u64) -> Desired {
        let environment = self.environment(document);
        let build = |container: &Container, run: &Run| build(document, container, run, &environment);
        desired::desired(document, revision, &self.overrides, &build)
    }

    /// Whether run options can be changed by a merge patch.
    pub(super) fn fits(&self, container: &Container, patch: &Value) -> Result<(), String> {
        let document = self.document.document.as_ref().ok_or("there is no document")?;
        let environment = self.environment(document);
        let run = desired::patched(&container.run, patch)?;
        build(document, container, &run, &environment).map(drop)
    }

    /// What specs are made from besides documents, as it is now.
    fn environment(&self, document: &Document) -> Environment {
        let patched = document.containers.iter().filter_map(|container| {
            let patch = self.overrides.get(&container.id)?.run.as_ref()?;
            desired::patched(&container.run, patch).ok()
        });
        let runs = document.containers.iter().map(|container| container.run.clone()).chain(patched);
        let paths: BTreeSet<_> = runs.flat_map(|run| spec::files(&run)).collect();
        let files = paths.into_iter().map(|path| {
            let text = read(&path);
            (path, text)
        });
        Environment { variables: self.device.environment.clone(), files: files.collect() }
    }
}

fn read(path: &str) -> Result<String, String> {
    let found = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if found.len() > MAX_ENV_FILE {
        return Err(format!("it has {} bytes, more than the {MAX_ENV_FILE} allowed", found.len()));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

fn build(
    document: &Document,
    container: &Container,
    run: &Run,
    environment: &Environment,
) -> Result<Spec, String> {
    let network = |(id, network): (&String, &Option<crate::document::resources::Network>)| {
        let name = network.as_ref().and_then(|network| network.name.clone());
        (id.clone(), name.unwrap_or_else(|| id.clone()))
    };
    let volume = |(id, volume): (&String, &Option<crate::document::resources::Volume>)| {
        let name = volume.as_ref().and_then(|volume| volume.name.clone());
        (id.clone(), name.unwrap_or_else(|| id.clone()))
    };
    let names = Names {
        id: container.id.clone(),
        networks: document.networks.iter().map(network).collect::<BTreeMap<_, _>>(),
        volumes: document.volumes.iter().map(volume).collect::<BTreeMap<_, _>>(),
    };
    spec::build(run, &names, environment)
}
