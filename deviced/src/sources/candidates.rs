//! A document's registries + a container's image -> the repositories that may have it. Pure.

use dockerloader::reference::{Reference, ReferenceError};

use crate::document::registry::Registry;

/// The registry of images whose name has none, where the document names no registry either (distribution/reference, "defaultDomain").
const DOCKER_HUB: &str = "docker.io";

/// A repository that may have an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which registry of the document it is; `None` for the one that the image's own name says.
    pub declared: Option<usize>,
    /// The registry's URL.
    pub url: String,
    /// `host[:port]/repository`.
    pub repository: String,
}

/// The repositories that may have an image. Those of the document's registries come first, in its order, and are to be asked in the order
/// of their distance. The one that the image's own name says comes last unless the document names its registry too: it is asked when none
/// of the others has the image.
///
/// # Errors
/// When the image's name is none. A document with such a name is not taken.
pub fn candidates(registries: &[Registry], image: &str) -> Result<Vec<Candidate>, ReferenceError> {
    let named: Reference = image.parse()?;
    let has_registry = has_registry(image);
    // Every one of these has it under the name that stands in the document.
    let are_general = !has_registry && registries.iter().any(|registry| registry.mirrors.is_empty());
    let mut found = Vec::new();
    let mut is_origin_declared = false;
    for (index, registry) in registries.iter().enumerate() {
        let host = host(&registry.url);
        let path = if has_registry && is_same(&host, named.registry()) {
            is_origin_declared = true;
            named.repository().to_owned()
        } else if are_general && registry.mirrors.is_empty() {
            prefixed(&registry.prefix, image)
        } else if !are_general && registry.mirrors.iter().any(|mirrored| is_same(mirrored, named.registry()))
        {
            prefixed(&registry.prefix, named.repository())
        } else {
            continue;
        };
        let repository = format!("{host}/{path}");
        found.push(Candidate { declared: Some(index), url: registry.url.clone(), repository });
    }
    if !are_general && !is_origin_declared {
        let repository = format!("{}/{}", named.registry(), named.repository());
        found.push(Candidate { declared: None, url: format!("https://{}", named.registry()), repository });
    }
    Ok(found)
}

fn prefixed(prefix: &str, name: &str) -> String {
    match prefix.trim_matches('/') {
        "" => name.to_owned(),
        prefix => format!("{prefix}/{name}"),
    }
}

/// `host[:port]` of a registry's URL, in a form that nobody takes for the first part of a name: `https://cache` is `cache:443`.
pub(super) fn host(url: &str) -> String {
    let (rest, port) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (rest, 443),
        (None, Some(rest)) => (rest, 80),
        (None, None) => (url, 443),
    };
    let host = rest.trim_end_matches('/');
    if host.contains(['.', ':']) || host == "localhost" { host.to_owned() } else { format!("{host}:{port}") }
}

/// As Docker reads names: the first of several parts is a registry if it looks like a host.
fn has_registry(image: &str) -> bool {
    image.split_once('/').is_some_and(|(first, _)| first.contains(['.', ':']) || first == "localhost")
}

fn is_same(one: &str, other: &str) -> bool {
    let name = |registry: &str| match registry.to_ascii_lowercase().as_str() {
        "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB.to_owned(),
        name => name.strip_suffix(":443").unwrap_or(name).to_owned(),
    };
    name(one) == name(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(url: &str, prefix: &str, mirrors: &[&str]) -> Registry {
        Registry {
            url: url.to_owned(),
            prefix: prefix.to_owned(),
            mirrors: mirrors.iter().map(|mirrored| (*mirrored).to_owned()).collect(),
            credentials: None,
            ca: None,
            plain_http: false,
            headers: [].into(),
        }
    }

    #[test]
    fn an_image_is_asked_for_where_it_may_be() {
        let shop = || registry("https://shop.example:5000", "", &[]);
        let office = || registry("https://office.example/", "team/", &[]);
        let hub = || registry("https://cache.example", "hub/", &["docker.io"]);
        let github = || registry("http://127.0.0.1:5001", "gh", &["ghcr.io", "quay.io"]);
        let bare = || registry("https://cache", "", &[]);
        for (registries, image, expected) in [
            // Without a registry in its name: all without mirrors, by the name that was written.
            (
                vec![shop(), office(), hub()],
                "acme/web",
                vec!["0 shop.example:5000/acme/web", "1 office.example/team/acme/web"],
            ),
            (vec![shop()], "web", vec!["0 shop.example:5000/web"]),
            (vec![bare()], "web", vec!["0 cache:443/web"]),
            // Docker Hub where the document names no registry of that kind, and its mirrors before it.
            (vec![], "web", vec!["- docker.io/library/web"]),
            (vec![], "acme/web", vec!["- docker.io/acme/web"]),
            (
                vec![hub(), github()],
                "web",
                vec!["0 cache.example/hub/library/web", "- docker.io/library/web"],
            ),
            // With a registry in its name: its mirrors, then itself.
            (
                vec![shop(), hub(), github()],
                "ghcr.io/acme/web",
                vec!["2 127.0.0.1:5001/gh/acme/web", "- ghcr.io/acme/web"],
            ),
            (
                vec![shop(), hub()],
                "docker.io/web",
                vec!["1 cache.example/hub/library/web", "- docker.io/library/web"],
            ),
            (
                vec![shop(), hub()],
                "index.docker.io/web",
                vec!["1 cache.example/hub/library/web", "- docker.io/library/web"],
            ),
            (vec![], "localhost/web", vec!["- localhost/web"]),
            // One that the document names is itself, and its name there is whole.
            (vec![office(), shop()], "office.example/acme/web", vec!["0 office.example/acme/web"]),
            (vec![hub(), shop()], "cache.example/acme/web", vec!["0 cache.example/acme/web"]),
            (vec![shop()], "SHOP.example:5000/acme/web", vec!["0 shop.example:5000/acme/web"]),
        ] {
            let found = candidates(&registries, image).unwrap();
            let shown: Vec<_> = found
                .iter()
                .map(|one| match one.declared {
                    Some(index) => format!("{index} {}", one.repository),
                    None => format!("- {}", one.repository),
                })
                .collect();
            assert_eq!(shown, expected, "{image}");
            for one in found {
                let reference: Reference = one.repository.parse().unwrap();
                assert!(one.repository.starts_with(reference.registry()), "{one:?}");
                assert_eq!(host(&one.url), reference.registry(), "{one:?}");
            }
        }
        assert!(candidates(&[], "Acme/Web").is_err());
    }

    #[test]
    fn a_prefix_reads_with_and_without_its_slash() {
        let found = |prefix| {
            let one = candidates(&[registry("https://r.example", prefix, &[])], "acme/web").unwrap();
            one[0].repository.clone()
        };
        assert_eq!(found("mirror/"), "r.example/mirror/acme/web");
        assert_eq!(found("/mirror/"), "r.example/mirror/acme/web");
        assert_eq!(found("mirror"), "r.example/mirror/acme/web");
        assert_eq!(found(""), "r.example/acme/web");
    }
}
