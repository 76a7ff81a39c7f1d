//! Image references as Docker reads them: text -> [`Reference`], pure.

use std::fmt;
use std::str::FromStr;

use crate::digest::Digest;

/// An image reference with Docker's defaults filled in (`distribution/reference`, "grammar"): registry `docker.io`,
/// `library/` before a one-part name there, tag `latest` when there is neither tag nor digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?}: {problem}")]
pub struct ReferenceError {
    /// The text, cut if it is long.
    pub text: String,
    /// What is wrong with it and what is expected.
    pub problem: String,
}

impl Reference {
    /// Host and port as they stand in the reference; `docker.io` when there is none.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository's path.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if the reference has one; `latest` is filled in when it has no digest either.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if the reference is pinned to one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let refuse = |problem: &str| ReferenceError {
            text: without_secrets(text).chars().take(200).collect(),
            problem: problem.to_owned(),
        };
        if text.trim() != text || text.is_empty() {
            return Err(refuse("empty, or white space around it"));
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(refuse(&format!(
                "leave out {scheme}://; a reference starts with the registry's host"
            )));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                (rest, Some(digest.parse::<Digest>().map_err(|e| refuse(&e.to_string()))?))
            }
            None => (text, None),
        };
        let slash = rest.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match rest.get(slash..).and_then(|last| last.find(':')) {
            Some(colon) => {
                let (name, tag) = rest.split_at(slash + colon);
                (name, tag.strip_prefix(':'))
            }
            None => (rest, None),
        };
        let (registry, path) = match name.split_once('/') {
            Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => (first, path),
            _ => ("docker.io", name),
        };
        if !is_host(registry) {
            return Err(refuse("the registry is not host[:port]"));
        }
        let registry = if registry == "index.docker.io" { "docker.io" } else { registry };
        let repository = if registry == "docker.io" && !path.contains('/') {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        if repository.len() > 255 || !repository.split('/').all(is_path_part) {
            return Err(refuse(
                "a repository is made of parts of a-z and 0-9 with single separators . _ - between, in lower case, \
                 at most 255 characters",
            ));
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(refuse("a tag is 1 to 128 of A-Z a-z 0-9 _ . - and does not start with . or -"));
        }
        let tag = match (tag, &digest) {
            (None, None) => Some("latest".to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Ok(Self { registry: registry.to_owned(), repository, tag, digest })
    }
}

/// A text that was meant as a reference, or as a list of them, for an error: what looks like a user and password, or like
/// the query of an address, is left out.
pub(crate) fn without_secrets(text: &str) -> String {
    let parts: Vec<_> = text.split(',').map(part_without_secrets).collect();
    parts.join(",")
}

fn part_without_secrets(part: &str) -> String {
    let (address, query) = match part.split_once('?') {
        Some((address, _)) => (address, "?***"),
        None => (part, ""),
    };
    let (before, after) = match address.rsplit_once('@') {
        Some((before, after)) if before.contains("://") || !looks_like_digest(after) => (before, after),
        _ => return format!("{address}{query}"),
    };
    let start = before.rfind("://").map_or(0, |at| at + 3);
    format!("{}***@{after}{query}", before.get(..start).unwrap_or_default())
}

/// Whether a person who wrote this after an `@` will have meant a digest.
fn looks_like_digest(text: &str) -> bool {
    let algorithm = text.split_once(':').map_or(text, |(algorithm, _)| algorithm);
    ["sha", "md5", "blake"].iter().any(|known| algorithm.starts_with(known))
        && algorithm.chars().all(|c| c.is_ascii_alphanumeric())
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        // [::1]:5000, or [::1] alone
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port_is_fine = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|number| number > 0));
    let host_is_fine = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(|part| {
            !part.is_empty()
                && !part.starts_with('-')
                && !part.ends_with('-')
                && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        }),
    };
    port_is_fine && host_is_fine
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` (OCI distribution spec, "Pulling manifests").
fn is_path_part(part: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators_are_fine = part
        .split(word)
        .filter(|separator| !separator.is_empty())
        .all(|separator| matches!(separator, "." | "_" | "__") || separator.chars().all(|c| c == '-'));
    part.starts_with(word) && part.ends_with(word) && separators_are_fine
}

pub(crate) fn is_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && tag.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_docker_reads_them() {
        let digest = format!("sha256:{}", "0f".repeat(32));
        for (text, full) in [
            ("nginx", "docker.io/library/nginx:latest".to_owned()),
            ("user/app:1", "docker.io/user/app:1".to_owned()),
            ("localhost/app", "localhost/app:latest".to_owned()),
            ("localhost:5050/myapp:latest", "localhost:5050/myapp:latest".to_owned()),
            ("[::1]:5000/a/b", "[::1]:5000/a/b:latest".to_owned()),
            ("index.docker.io/nginx", "docker.io/library/nginx:latest".to_owned()),
            ("r.example/a__b/c--d/e.f:V1.0-rc_1", "r.example/a__b/c--d/e.f:V1.0-rc_1".to_owned()),
            (&format!("r.example:443/a@{digest}"), format!("r.example:443/a@{digest}")),
            (&format!("r.example/a:1@{digest}"), format!("r.example/a:1@{digest}")),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), full);
            assert_eq!(full.parse::<Reference>().unwrap(), reference, "a full reference reads back the same");
        }
    }

    #[test]
    fn a_malformed_reference_is_refused_with_what_is_wrong() {
        for (text, hint) in [
            ("", "empty"),
            (" nginx", "white space"),
            ("https://r.example/a", "leave out https://"),
            ("r.example/UPPER", "lower case"),
            ("r.example/a//b", "parts"),
            ("r.example/../b", "parts"),
            ("r.example/a:", "tag"),
            ("r.example/a:-x", "tag"),
            ("r.example/a::x", "tag"),
            ("r.example:0/a", "host[:port]"),
            ("r.example:99999/a", "host[:port]"),
            ("r.example/a@sha256:12", "64 lower-case hex"),
            ("r.example/a@md5:12", "sha256"),
            ("r.example/", "parts"),
            ("a___b", "parts"),
            ("-a", "parts"),
        ] {
            let error = text.parse::<Reference>().unwrap_err().to_string();
            assert!(error.contains(hint), "{text:?}: {error}");
        }
    }

    #[test]
    fn an_error_never_shows_what_looks_like_a_password() {
        for (text, shown) in [
            ("https://user:secret@r.example/app:v", "https://***@r.example/app:v"),
            ("user:secret@r.example/app", "***@r.example/app"),
            ("https://user:se/cr@et@r.example", "https://***@r.example"),
            ("user:secret@shop:5000", "***@shop:5000"),
            ("r.example/app:v?token=secret", "r.example/app:v?***"),
            ("docker.io=https://u:secret@m/x,y=z", "docker.io=https://***@m/x,y=z"),
            ("r.example/App@sha256:abc", "r.example/App@sha256:abc"),
            ("r.example/App:v", "r.example/App:v"),
        ] {
            assert_eq!(without_secrets(text), shown);
        }
    }
}
