//! Reference + settings -> the places to ask, in order: pure.

use crate::config::RegistrySettings;
use crate::reference::Reference;

/// Where Docker Hub answers.
const DOCKER_HUB: &str = "registry-1.docker.io";

/// A place where a repository can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// `host[:port]`.
    pub(super) host: String,
    /// The repository there.
    pub(super) repository: String,
    /// The registry that this one stands in for.
    pub(super) mirror_of: Option<String>,
    /// Whether plain HTTP is allowed when it doesn't speak TLS.
    pub(super) plain_http: bool,
}

impl Endpoint {
    /// The path and query of something in the repository: `kind` is `manifests` or `blobs`. A mirror is told for whom it
    /// stands in, as containerd does it.
    pub(super) fn path(&self, kind: &str, name: &str) -> String {
        let namespace = self.mirror_of.as_ref().map(|registry| format!("?ns={registry}")).unwrap_or_default();
        format!("/v2/{}/{kind}/{name}{namespace}", self.repository)
    }
}

/// The mirrors of the reference's registry in the order of the settings, then the registry itself.
pub(super) fn endpoints(reference: &Reference, settings: &RegistrySettings) -> Vec<Endpoint> {
    let endpoint = |host: &str, repository: String, mirror_of: Option<String>| Endpoint {
        host: address(host).to_owned(),
        repository,
        mirror_of,
        plain_http: allows_plain_http(host, settings),
    };
    let registry = reference.registry();
    let mut all: Vec<_> = settings
        .mirrors
        .iter()
        .filter(|mirror| address(&mirror.registry) == address(registry))
        .map(|mirror| {
            let repository = match mirror.prefix.as_str() {
                "" => reference.repository().to_owned(),
                prefix => format!("{prefix}/{}", reference.repository()),
            };
            endpoint(&mirror.host, repository, Some(registry.to_owned()))
        })
        .collect();
    all.push(endpoint(registry, reference.repository().to_owned(), None));
    all
}

/// The registry itself, whatever mirrors it has. No repository of it is meant.
pub(super) fn base(registry: &str, settings: &RegistrySettings) -> Endpoint {
    Endpoint {
        host: address(registry).to_owned(),
        repository: String::new(),
        mirror_of: None,
        plain_http: allows_plain_http(registry, settings),
    }
}

/// The keys under which Docker's `config.json` may have credentials for a host.
pub(super) fn credential_keys(host: &str) -> Vec<String> {
    if host == DOCKER_HUB {
        ["https://index.docker.io/v1/", "index.docker.io", "docker.io"].map(str::to_owned).to_vec()
    } else {
        vec![host.to_owned()]
    }
}

/// Whether a host, with or without a port, is this machine itself.
pub fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

fn allows_plain_http(host: &str, settings: &RegistrySettings) -> bool {
    is_loopback(host) || settings.insecure.iter().any(|insecure| insecure.eq_ignore_ascii_case(host))
}

/// The host at which a registry answers.
pub(super) fn address(registry: &str) -> &str {
    if matches!(registry, "docker.io" | "index.docker.io") { DOCKER_HUB } else { registry }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Mirror;

    #[test]
    fn mirrors_come_first_in_their_order_and_the_registry_last() {
        let mirror = |registry: &str, host: &str, prefix: &str| Mirror {
            registry: registry.into(),
            host: host.into(),
            prefix: prefix.into(),
        };
        let settings = RegistrySettings {
            mirrors: vec![
                mirror("docker.io", "localhost:5001", "hub"),
                mirror("quay.io", "m.example", ""),
                mirror("docker.io", "m.example", ""),
            ],
            insecure: vec!["M.example".into()],
            ..RegistrySettings::default()
        };
        let all = endpoints(&"nginx:1".parse().unwrap(), &settings);
        let shown: Vec<_> =
            all.iter().map(|one| (one.host.as_str(), one.path("manifests", "1"), one.plain_http)).collect();
        assert_eq!(
            shown,
            [
                ("localhost:5001", "/v2/hub/library/nginx/manifests/1?ns=docker.io".to_owned(), true),
                ("m.example", "/v2/library/nginx/manifests/1?ns=docker.io".to_owned(), true),
                ("registry-1.docker.io", "/v2/library/nginx/manifests/1".to_owned(), false),
            ]
        );
    }

    #[test]
    fn loopback_is_known_in_every_form() {
        for host in [
            "localhost",
            "LOCALHOST:5000",
            "127.0.0.1",
            "127.9.9.9:80",
            "[::1]",
            "[::1]:5000",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example", "128.0.0.1", "example", "[::2]:1", "", "127.0.0.1.example:80"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
