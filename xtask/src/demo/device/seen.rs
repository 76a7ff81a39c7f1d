//! What is seen from outside: `docker ps`, `docker inspect` and `docker exec`.

use serde_json::Value;

use super::document::{ALL, SENSOR, WEB};
use super::images::PAGE;
use crate::docker::Docker;
use crate::failure::{Context as _, Failure, Result};

/// The label by which a deviced finds what is its own.
pub(super) const INSTANCE: &str = "deviced.instance";

/// A container of deviced's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Container {
    /// The engine's id.
    pub(super) id: String,
    /// The document's.
    pub(super) name: String,
    /// The tag that deviced says it is.
    pub(super) version: String,
    /// The manifest that deviced says it is.
    pub(super) digest: String,
    pub(super) running: bool,
    /// RFC 3339, so that texts are in the order of time.
    pub(super) started: String,
    /// `none`, `container:ID`.
    pub(super) network: String,
    /// The image's names by digest.
    pub(super) image: Vec<String>,
    /// What the program in it says that it is.
    pub(super) page: String,
}

/// All containers of a deviced, running or not.
pub(super) fn look(docker: &Docker, instance: &str) -> Result<Vec<Container>> {
    let filter = format!("label={INSTANCE}={instance}");
    let listed = docker.call(["ps", "--all", "--quiet", "--no-trunc", "--filter", &filter]).read()?;
    listed.lines().map(|id| container(docker, id)).collect()
}

fn container(docker: &Docker, id: &str) -> Result<Container> {
    let inspected = inspect(docker, "container", id)?;
    let text =
        |pointer: &str| inspected.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let image = inspect(docker, "image", &text("/Image"))?;
    let names = image.get("RepoDigests").and_then(Value::as_array).cloned().unwrap_or_default();
    let running = inspected.pointer("/State/Running") == Some(&Value::Bool(true));
    let page = ["exec", id, "/bin/busybox", "cat", "/www/index.html"];
    Ok(Container {
        id: id.to_owned(),
        name: text("/Config/Labels/deviced.id"),
        version: text("/Config/Labels/deviced.version"),
        digest: text("/Config/Labels/deviced.digest"),
        running,
        started: text("/State/StartedAt"),
        network: text("/HostConfig/NetworkMode"),
        image: names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        page: if running { docker.call(page).read()? } else { String::new() },
    })
}

fn inspect(docker: &Docker, what: &str, id: &str) -> Result<Value> {
    let text = docker.call([what, "inspect", id]).read()?;
    let mut values: Vec<Value> = serde_json::from_str(&text).context("read what docker inspect says")?;
    values.pop().ok_or_else(|| Failure::new(format!("docker inspect says nothing about {id}")))
}

/// The page of `web`, read from inside `sensor`: only where they share a network.
pub(super) fn page_in_shared_network(docker: &Docker, seen: &[Container]) -> Result<String> {
    let sensor = one(seen, SENSOR)?;
    docker.call(["exec", &sensor.id, "/bin/busybox", "wget", "-q", "-O", "-", PAGE]).read()
}

/// The container with this id of the document.
pub(super) fn one<'a>(seen: &'a [Container], name: &str) -> Result<&'a Container> {
    let mut found = seen.iter().filter(|container| container.name == name);
    match (found.next(), found.next()) {
        (Some(container), None) => Ok(container),
        (None, _) => Err(Failure::new(format!("there is no container of {name}"))),
        _ => Err(Failure::new(format!("there is more than one container of {name}"))),
    }
}

/// What is not as it has to be: `web` runs this version of this manifest, the other two run 1.0.0, each once, and `sensor` shares the
/// network of `web`.
pub(super) fn differences(seen: &[Container], version: &str, digest: &str) -> Vec<String> {
    let mut differences = Vec::new();
    for name in ALL {
        let container = match one(seen, name) {
            Ok(container) => container,
            Err(failure) => {
                differences.push(failure.to_string());
                continue;
            }
        };
        let expected = if name == WEB { version } else { "1.0.0" };
        if !container.running {
            differences.push(format!("{name} does not run"));
        }
        if container.version != expected {
            differences.push(format!("{name} is {}, not {expected}", container.version));
        }
        if name == WEB && container.digest != digest {
            differences
                .push(format!("{name} says that it is {}, and the registry has {digest}", container.digest));
        }
        if !container.image.iter().any(|image| image.ends_with(&container.digest)) {
            differences
                .push(format!("the image of {name} is {:?}, not {}", container.image, container.digest));
        }
    }
    if let (Ok(web), Ok(sensor)) = (one(seen, WEB), one(seen, SENSOR))
        && sensor.network != format!("container:{}", web.id)
    {
        differences.push(format!("{SENSOR} has the network {}, not that of {WEB}", sensor.network));
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop() -> Vec<Container> {
        ALL.iter()
            .map(|name| Container {
                id: format!("id-of-{name}"),
                name: (*name).to_owned(),
                version: "1.0.0".into(),
                digest: "sha256:1".into(),
                running: true,
                started: String::new(),
                network: if *name == SENSOR { format!("container:id-of-{WEB}") } else { "none".into() },
                image: vec![format!("127.0.0.1:5000/{name}@sha256:1")],
                page: String::new(),
            })
            .collect()
    }

    #[test]
    fn whatever_is_not_as_it_has_to_be_is_noticed() {
        assert!(differences(&shop(), "1.0.0", "sha256:1").is_empty());
        type Spoil = fn(&mut Vec<Container>);
        let spoil: [(&str, Spoil); 7] = [
            ("there is no container of shop-web", |shop| drop(shop.remove(1))),
            ("there is more than one container of shop-web", |shop| shop.push(shop[1].clone())),
            ("shop-database does not run", |shop| shop[0].running = false),
            ("shop-web is 1.1.0, not 1.0.0", |shop| shop[1].version = "1.1.0".into()),
            ("shop-web says that it is sha256:2, and the registry has sha256:1", |shop| {
                shop[1].digest = "sha256:2".into()
            }),
            ("the image of shop-sensor", |shop| shop[2].image.clear()),
            ("shop-sensor has the network none", |shop| shop[2].network = "none".into()),
        ];
        for (told, spoil) in spoil {
            let mut shop = shop();
            spoil(&mut shop);
            let differences = differences(&shop, "1.0.0", "sha256:1");
            assert!(
                differences.iter().any(|difference| difference.starts_with(told)),
                "{told}: {differences:?}"
            );
        }
    }
}
