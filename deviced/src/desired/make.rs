//! Document and overrides -> what has to be; then the version that was chosen for each container.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Desired, Resource, Wanted, patched};
use crate::choose::Choice;
use crate::document::Document;
use crate::document::container::Container;
use crate::document::resources::{Network, Volume};
use crate::document::run::Run;
use crate::history::Override;
use crate::labels;
use crate::spec::{Spec, network_body, volume_body};

/// What has to be, by the document and by what was said over it. Versions are not chosen yet: [`set_targets`] does that.
///
/// `build` makes a spec of a container's `run`. A container whose run options can't be made into one is blocked, and never removed.
pub fn desired(
    document: &Document,
    revision: u64,
    overrides: &BTreeMap<String, Override>,
    build: &dyn Fn(&Container, &Run) -> Result<Spec, String>,
) -> Desired {
    let nothing = Override::default();
    let wanted = |container: &Container| {
        let said = overrides.get(&container.id).unwrap_or(&nothing);
        (container.id.clone(), wanted(container, said, build))
    };
    Desired {
        revision,
        networks: document
            .networks
            .iter()
            .map(|(id, described)| network(id, &described.clone().unwrap_or_default()))
            .collect(),
        volumes: document
            .volumes
            .iter()
            .map(|(id, described)| volume(id, &described.clone().unwrap_or_default()))
            .collect(),
        containers: document.containers.iter().map(wanted).collect(),
        remove_unknown: document.remove_unknown,
    }
}

/// Puts the chosen versions in. A blocked container gets none.
pub fn set_targets(desired: &mut Desired, choices: &BTreeMap<String, Choice>) {
    for (id, wanted) in &mut desired.containers {
        wanted.target = match (&wanted.blocked, choices.get(id)) {
            (Some(why), _) => Err(why.clone()),
            (None, Some(choice)) => choice.target.clone(),
            (None, None) => Err("no version has been chosen yet".to_owned()),
        };
        let choice = choices.get(id).filter(|_| wanted.blocked.is_none());
        wanted.meanwhile = choice.and_then(|choice| choice.meanwhile.clone());
        wanted.rest = choice.and_then(|choice| choice.rest);
    }
}

fn wanted(
    container: &Container,
    said: &Override,
    build: &dyn Fn(&Container, &Run) -> Result<Spec, String>,
) -> Wanted {
    let changed =
        said.run.as_ref().map_or_else(|| Ok(container.run.clone()), |patch| patched(&container.run, patch));
    let (run, misfit) = match changed {
        Ok(run) => (run, None),
        Err(why) => {
            (container.run.clone(), Some(format!("{why}; `deviced arguments {}` changes them", container.id)))
        }
    };
    let (spec, unbuilt) = match build(container, &run) {
        Ok(spec) => (spec, None),
        Err(why) => (Spec::default(), Some(why)),
    };
    let paused = if container.paused {
        Some("the document says so".to_owned())
    } else {
        said.paused.then(|| format!("somebody paused it; `deviced resume {}` ends that", container.id))
    };
    Wanted {
        id: container.id.clone(),
        spec,
        depends: run.depends_on.0.clone(),
        joins: joins(&run),
        restart: run.restart,
        update: container.update.clone(),
        hooks: container.hooks.clone(),
        protected: container.protected,
        paused,
        stopped: said.stopped,
        pinned: said.pinned.is_some(),
        blocked: misfit.or(unbuilt),
        target: Err("no version has been chosen yet".to_owned()),
        meanwhile: None,
        rest: None,
    }
}

/// By the engine's name.
fn network(id: &str, network: &Network) -> (String, Resource) {
    let name = network.name.clone().unwrap_or_else(|| id.to_owned());
    (
        name,
        Resource { id: id.to_owned(), external: network.external, body: hashed(network_body(id, network)) },
    )
}

/// By the engine's name.
fn volume(id: &str, volume: &Volume) -> (String, Resource) {
    let name = volume.name.clone().unwrap_or_else(|| id.to_owned());
    (name, Resource { id: id.to_owned(), external: volume.external, body: hashed(volume_body(id, volume)) })
}

/// With the hash of the whole among its labels: by it a later change is found.
fn hashed(body: Value) -> Value {
    let Value::Object(mut body) = body else { return body };
    let hash = Spec(body.clone()).hash();
    let all = body.entry("Labels").or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(all) = all {
        all.insert(labels::SPEC.to_owned(), hash.0.into());
    }
    Value::Object(body)
}

/// The containers whose namespaces or volumes it shares, each once.
fn joins(run: &Run) -> Vec<String> {
    let modes = [&run.network_mode, &run.ipc, &run.pid];
    let shared = modes.into_iter().filter_map(|mode| mode.as_deref()?.strip_prefix("service:"));
    let volumes =
        run.volumes_from.iter().map(|from| from.split_once(':').map_or(from.as_str(), |(id, _)| id));
    let mut joins = Vec::new();
    for id in shared.chain(volumes) {
        if !joins.iter().any(|known| known == id) {
            joins.push(id.to_owned());
        }
    }
    joins
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(text: &str) -> Document {
        Document::read(text).unwrap()
    }

    fn build(container: &Container, run: &Run) -> Result<Spec, String> {
        if run.env_file.0.iter().any(|file| file == "/gone") {
            return Err(format!("{}: there is no file /gone", container.id));
        }
        Ok(serde_json::from_value(json!({"HostConfig": {"RestartPolicy": run.restart.to_string()}})).unwrap())
    }

    const TWO: &str = "
apiVersion: deviced/v1
networks: {front: {name: acme_front}}
volumes: {data: {external: true}}
containers:
  - {id: web, image: acme/web, versions: ['1'], run: {restart: always, network_mode: 'service:vpn', volumes_from: ['vpn:ro'], depends_on: [vpn]}}
  - {id: vpn, image: acme/vpn, versions: ['1'], paused: true}
";

    #[test]
    fn overrides_change_options_and_what_does_not_fit_blocks() {
        let overrides = BTreeMap::from([
            (
                "web".to_owned(),
                Override { run: Some(json!({"restart": "no"})), stopped: true, ..Override::default() },
            ),
            ("gone".to_owned(), Override { paused: true, ..Override::default() }),
        ]);
        let made = desired(&document(TWO), 7, &overrides, &build);
        assert_eq!((made.revision, made.containers.len()), (7, 2));
        let front = &made.networks["acme_front"];
        assert_eq!((front.id.as_str(), front.external), ("front", false));
        assert_eq!(front.body["Labels"][labels::ID], "front");
        assert_eq!(front.body["Labels"][labels::SPEC].as_str().map(str::len), Some(32));
        assert!(made.volumes["data"].external);
        let web = &made.containers["web"];
        assert_eq!(web.joins, ["vpn"]);
        assert_eq!(web.spec.get("/HostConfig/RestartPolicy"), Some(&json!("no")));
        assert!(
            web.stopped && web.paused.is_none() && web.blocked.is_none() && web.depends.contains_key("vpn")
        );
        assert_eq!(made.containers["vpn"].paused.as_deref(), Some("the document says so"));

        for (patch, why) in [
            (json!({"restart": "often"}), "the changed run options don't fit: run.restart"),
            (json!({"env_file": ["/gone"]}), "web: there is no file /gone"),
        ] {
            let overrides =
                BTreeMap::from([("web".to_owned(), Override { run: Some(patch), ..Override::default() })]);
            let mut made = desired(&document(TWO), 7, &overrides, &build);
            let blocked = made.containers["web"].blocked.clone().unwrap();
            assert!(blocked.starts_with(why), "{blocked}");
            set_targets(&mut made, &BTreeMap::new());
            assert_eq!(made.containers["web"].target, Err(blocked));
            assert_eq!(made.containers["vpn"].target, Err("no version has been chosen yet".to_owned()));
        }
    }
}
