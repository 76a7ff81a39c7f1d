//! What can't be, although every value for itself is right: two containers on one port, a network that isn't there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use dockerloader::reference::Reference;

use super::Document;
use super::container::Container;
use super::finding::{Finding, Pointer};
use super::registry::Registry;
use super::run::port::Protocol;
use super::run::volume::Kind;
use super::unknown::nearest;

/// Everything that contradicts itself, in the order of the document.
pub(super) fn check(document: &Document) -> Vec<Finding> {
    let mut findings = Vec::new();
    let root = Pointer::root();
    for (index, registry) in document.registries.iter().enumerate() {
        check_registry(registry, &root.key("registries").index(index), &mut findings);
    }
    let containers = root.key("containers");
    for (index, container) in document.containers.iter().enumerate() {
        check_container(document, container, &containers.index(index), &mut findings);
    }
    check_ids(document, &containers, &mut findings);
    check_ports(document, &containers, &mut findings);
    check_cycles(document, &containers, &mut findings);
    findings
}

fn check_registry(registry: &Registry, pointer: &Pointer, findings: &mut Vec<Finding>) {
    let at = pointer.key("url");
    let (is_plain, rest) = match (registry.url.strip_prefix("https://"), registry.url.strip_prefix("http://"))
    {
        (Some(rest), _) => (false, rest),
        (None, Some(rest)) => (true, rest),
        (None, None) => {
            let problem = format!("{:?} is no registry", registry.url);
            findings.push(Finding::new(at, problem).advise("write https://host or https://host:port"));
            return;
        }
    };
    let host = rest.trim_end_matches('/');
    if host.contains('@') {
        let advice =
            "use `credentials` with `passwordFile` or `passwordEnv`: what stands in a document is shown";
        findings.push(Finding::new(at, "credentials stand in the address").advise(advice));
        return;
    }
    if host.is_empty() || host.contains(['/', '?', '#', ' ']) {
        let advice = "write a host and a port only; what stands before the images' names is `prefix`";
        findings.push(Finding::new(at, format!("{:?} is no registry", registry.url)).advise(advice));
        return;
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    let is_loopback =
        name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if is_plain && !registry.plain_http && !is_loopback {
        let problem = "plain HTTP hides nothing and proves nothing";
        findings.push(
            Finding::new(at, problem).advise("write https://, or add `plainHttp: true` if that is meant"),
        );
    }
    if let Some(credentials) = &registry.credentials {
        let at = pointer.key("credentials");
        if credentials.password_file.is_some() == credentials.password_env.is_some() {
            findings.push(Finding::new(
                at,
                "exactly one of `passwordFile` and `passwordEnv` says where the password is",
            ));
        }
    }
    for name in registry.headers.keys().filter(|name| name.eq_ignore_ascii_case("authorization")) {
        let problem = "a secret would stand in the document, which is shown";
        findings.push(Finding::new(pointer.key("headers").key(name), problem).advise("use `credentials`"));
    }
}

fn check_container(
    document: &Document,
    container: &Container,
    pointer: &Pointer,
    findings: &mut Vec<Finding>,
) {
    if !is_id(&container.id) {
        let advice = "use letters, digits, `_`, `.` and `-`, at most 63, the first a letter or digit";
        findings.push(Finding::new(pointer.key("id"), format!("{:?} is no id", container.id)).advise(advice));
    }
    check_image(container, &pointer.key("image"), findings);
    if container.versions.is_empty() {
        let advice = "name at least one tag, range or digest, for example versions: [latest]";
        findings.push(Finding::new(pointer.key("versions"), "no version is acceptable").advise(advice));
    }
    if let Some(fallback) = &container.fallback
        && !matches!(super::versions::Acceptable::read(fallback), Ok(super::versions::Acceptable::Tag(_)))
    {
        findings.push(
            Finding::new(pointer.key("fallback"), format!("{fallback:?} is no tag"))
                .advise("write one, for example latest"),
        );
    }
    let run = pointer.key("run");
    let names = |names: &BTreeSet<&str>, name: &str| nearest(name, names.iter().copied()).map(str::to_owned);
    let networks: BTreeSet<_> = document.networks.keys().map(String::as_str).collect();
    for name in
        container.run.networks.0.keys().filter(|name| !networks.contains(name.as_str()) && *name != "default")
    {
        let advice = names(&networks, name).map_or_else(
            || format!("add it to `networks:` as `{name}: {{}}`"),
            |near| format!("did you mean `{near}`?"),
        );
        let problem = format!("there is no network `{name}`");
        findings.push(Finding::new(run.key("networks").key(name), problem).advise(advice));
    }
    let volumes: BTreeSet<_> = document.volumes.keys().map(String::as_str).collect();
    for (index, volume) in container.run.volumes.iter().enumerate() {
        let Some(name) = volume.source.as_deref().filter(|_| volume.kind == Kind::Volume) else { continue };
        if !volumes.contains(name) {
            let advice = names(&volumes, name).map_or_else(
                || format!("add it to `volumes:` as `{name}: {{}}`"),
                |near| format!("did you mean `{near}`?"),
            );
            let problem = format!("there is no volume `{name}`");
            findings.push(Finding::new(run.key("volumes").index(index), problem).advise(advice));
        }
    }
    check_others(document, container, &run, findings);
    let shares_network = container.run.network_mode.is_some();
    if shares_network && !container.run.networks.0.is_empty() {
        let problem = "`networks` and `network_mode` exclude each other";
        findings.push(Finding::new(run.key("network_mode"), problem).advise("remove one of the two"));
    }
    if let Some(mode) = container.run.network_mode.as_deref().filter(|mode| *mode != "bridge")
        && !container.run.ports.is_empty()
    {
        let advice = match mode.strip_prefix("service:") {
            Some(id) => format!("publish them at `{id}`, whose network it is"),
            None => "remove the ports".to_owned(),
        };
        findings.push(
            Finding::new(run.key("ports"), format!("no port can be published in network mode `{mode}`"))
                .advise(advice),
        );
    }
}

/// The first 63, since it becomes a host name.
fn is_id(id: &str) -> bool {
    id.len() <= 63
        && id.starts_with(|first: char| first.is_ascii_alphanumeric())
        && id.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.-".contains(letter))
}

fn check_image(container: &Container, at: &Pointer, findings: &mut Vec<Finding>) {
    let image = &container.image;
    let name = image.rsplit('/').next().unwrap_or_default();
    if let Some((_, version)) = image.split_once('@').or_else(|| name.split_once(':')) {
        let advice = format!("write the image without it, and versions: [\"{version}\"]");
        findings.push(Finding::new(at.clone(), format!("{image:?} has a version")).advise(advice));
    } else if let Err(error) = image.parse::<Reference>() {
        findings.push(Finding::new(at.clone(), error.to_string()));
    }
}

/// What names other containers: dependencies, shared namespaces, others' volumes.
fn others(container: &Container) -> Vec<(&'static str, Option<String>, &str)> {
    let run = &container.run;
    let mut others = Vec::new();
    others.extend(run.depends_on.0.keys().map(|id| ("depends_on", Some(id.clone()), id.as_str())));
    let shared = [("network_mode", &run.network_mode), ("ipc", &run.ipc), ("pid", &run.pid)];
    others.extend(
        shared
            .into_iter()
            .filter_map(|(word, mode)| Some((word, None, mode.as_deref()?.strip_prefix("service:")?))),
    );
    others.extend(run.volumes_from.iter().enumerate().map(|(index, from)| {
        ("volumes_from", Some(index.to_string()), from.split_once(':').map_or(from.as_str(), |(id, _)| id))
    }));
    others
}

fn check_others(document: &Document, container: &Container, run: &Pointer, findings: &mut Vec<Finding>) {
    let ids: BTreeSet<_> = document.containers.iter().map(|container| container.id.as_str()).collect();
    for (word, part, id) in others(container) {
        let at = part.iter().fold(run.key(word), |at, part| at.key(part));
        if id == container.id {
            findings.push(Finding::new(at, format!("`{id}` would wait for itself")).advise("remove it"));
        } else if !ids.contains(id) {
            let finding = Finding::new(at, format!("there is no container `{id}`"));
            findings.push(match nearest(id, ids.iter().copied()) {
                Some(near) => finding.advise(format!("did you mean `{near}`?")),
                None => finding
                    .advise(format!("the ids are: {}", ids.iter().copied().collect::<Vec<_>>().join(", "))),
            });
        }
    }
}

fn check_ids(document: &Document, containers: &Pointer, findings: &mut Vec<Finding>) {
    let mut seen = BTreeMap::new();
    for (index, container) in document.containers.iter().enumerate() {
        if let Some(first) = seen.insert(container.id.as_str(), index) {
            let problem = format!(
                "the id `{}` is there twice: here, and at {}",
                container.id,
                containers.index(first).spoken()
            );
            findings.push(
                Finding::new(containers.index(index).key("id"), problem)
                    .advise("give each container its own"),
            );
        }
    }
}

/// Two containers that publish the same port of the same address: the second one would never start.
fn check_ports(document: &Document, containers: &Pointer, findings: &mut Vec<Finding>) {
    type Taken<'d> = (Protocol, u16, Option<IpAddr>, usize, &'d str);
    let mut taken: Vec<Taken<'_>> = Vec::new();
    for (index, container) in document.containers.iter().enumerate() {
        for (number, port) in container.run.ports.iter().enumerate() {
            // Of a range for one port the engine takes a free one.
            let Some(published) = port.published.filter(|published| published.count() == port.target.count())
            else {
                continue;
            };
            for host in published.first..=published.last {
                let meets = |other: Option<IpAddr>| meets(port.address, other);
                let clash = taken.iter().find(|(protocol, taken, address, ..)| {
                    *protocol == port.protocol && *taken == host && meets(*address)
                });
                if let Some((.., other, id)) = clash {
                    let who = if *other == index { "it".to_owned() } else { format!("`{id}`") };
                    let problem = format!("port {host}/{} is published by {who} already", port.protocol);
                    let at = containers.index(index).key("run").key("ports").index(number);
                    findings
                        .push(Finding::new(at, problem).advise("publish another one, or at another address"));
                    break;
                }
                taken.push((port.protocol, host, port.address, index, &container.id));
            }
        }
    }
}

/// Whether two addresses can't both be listened at. No address is all of them, and so is `0.0.0.0` for IPv4.
fn meets(one: Option<IpAddr>, other: Option<IpAddr>) -> bool {
    match (one, other) {
        (None, _) | (_, None) => true,
        (Some(one), Some(other)) => {
            one == other
                || (one.is_ipv4() == other.is_ipv4() && (one.is_unspecified() || other.is_unspecified()))
        }
    }
}

/// Containers that wait for each other in a circle.
fn check_cycles(document: &Document, containers: &Pointer, findings: &mut Vec<Finding>) {
    let index: BTreeMap<_, _> = document
        .containers
        .iter()
        .enumerate()
        .map(|(index, container)| (container.id.as_str(), index))
        .collect();
    let next: Vec<Vec<usize>> = document
        .containers
        .iter()
        .map(|container| others(container).iter().filter_map(|(.., id)| index.get(id).copied()).collect())
        .collect();
    let mut done = vec![false; next.len()];
    for start in 0..next.len() {
        if let Some(circle) = circle(start, &next, &mut done) {
            let names: Vec<_> = circle
                .iter()
                .filter_map(|at| document.containers.get(*at))
                .map(|at| at.id.as_str())
                .collect();
            let first = names.first().copied().unwrap_or_default();
            let problem = format!("containers wait for each other: {} -> {first}", names.join(" -> "));
            let at = circle.first().map_or_else(|| containers.clone(), |at| containers.index(*at));
            // One that waits for itself has been told so.
            if names.len() > 1 {
                findings.push(
                    Finding::new(at.key("run").key("depends_on"), problem)
                        .advise("remove one of these dependencies"),
                );
            }
        }
    }
}

/// A circle that is reached from `start` through what was not looked at before. Without recursion: a document may be a long chain.
fn circle(start: usize, next: &[Vec<usize>], done: &mut [bool]) -> Option<Vec<usize>> {
    let mut path: Vec<(usize, usize)> = vec![(start, 0)];
    while let Some((at, branch)) = path.last().copied() {
        let is_done = done.get(at).copied().unwrap_or(true);
        let to = next.get(at).and_then(|next| next.get(branch)).copied().filter(|_| !is_done);
        let Some(to) = to else {
            if let Some(done) = done.get_mut(at) {
                *done = true;
            }
            path.pop();
            continue;
        };
        if let Some(last) = path.last_mut() {
            last.1 += 1;
        }
        if let Some(from) = path.iter().position(|(on_path, _)| *on_path == to) {
            let circle = path.iter().skip(from).map(|(at, _)| *at).collect();
            for (at, _) in &path {
                if let Some(done) = done.get_mut(*at) {
                    *done = true;
                }
            }
            return Some(circle);
        }
        path.push((to, 0));
    }
    None
}
