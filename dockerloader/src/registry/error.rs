//! Why a registry didn't give what it was asked for. No text holds a password, a token, or the query of an address, which
//! may be signed.

use std::path::PathBuf;
use std::time::Duration;

use crate::digest::Digest;
use crate::limits::OverLimit;
use crate::manifest;
use crate::manifest::bounded;
use crate::remedy::Remedy;

/// Why a registry didn't give what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name has no address.
    #[error("registry {host}: there is no such host ({problem}); check the name, and this machine's DNS")]
    UnknownHost {
        /// `host[:port]`.
        host: String,
        /// What the resolver said.
        problem: String,
    },
    /// Nothing listens there.
    #[error("registry {host}: connection refused; check the port, and that the registry runs")]
    Refused {
        /// `host[:port]`.
        host: String,
    },
    /// The connection could not be made.
    #[error("registry {host}: can't connect: {problem}; check this machine's network and proxy")]
    NoConnection {
        /// `host[:port]`.
        host: String,
        /// What went wrong.
        problem: String,
    },
    /// The connection broke.
    #[error("registry {host}: the connection broke: {problem}")]
    Broken {
        /// `host[:port]`.
        host: String,
        /// What went wrong.
        problem: String,
    },
    /// Nothing came for too long.
    #[error("registry {host}: {what} for {} s", .after.as_secs_f64())]
    Timeout {
        /// `host[:port]`.
        host: String,
        /// What was waited for.
        what: &'static str,
        /// How long.
        after: Duration,
    },
    /// The certificate is not trusted.
    #[error("registry {host}: its certificate is not trusted: {problem}; {advice}")]
    Certificate {
        /// `host[:port]`.
        host: String,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        advice: &'static str,
    },
    /// It doesn't speak TLS.
    #[error(
        "registry {host}: it does not speak TLS: {problem}; if it speaks plain HTTP, list it in \
         DOCKERLOADER_INSECURE_REGISTRIES"
    )]
    NoTls {
        /// `host[:port]`.
        host: String,
        /// What went wrong.
        problem: String,
    },
    /// It speaks TLS, but not with us.
    #[error("registry {host}: the TLS handshake failed: {problem}")]
    Handshake {
        /// `host[:port]`.
        host: String,
        /// What went wrong.
        problem: String,
    },
    /// It sends us to where we don't go.
    #[error("registry {host}: redirected {problem}")]
    Redirect {
        /// `host[:port]`.
        host: String,
        /// Whereto, and why not.
        problem: String,
    },
    /// It wants credentials, or other ones.
    #[error(
        "registry {host}: not authorized to pull {repository}, {credentials}; `docker login` stores credentials \
         there{said}"
    )]
    Unauthorized {
        /// `host[:port]`.
        host: String,
        /// The repository there.
        repository: String,
        /// Which credentials were used, or why none were, and where they come from.
        credentials: String,
        /// What the registry said; empty, or begins with a separator.
        said: String,
    },
    /// It knows who asks, and doesn't give it.
    #[error(
        "registry {host}: access to {repository} denied, {credentials}; ask for the right to pull it{said}"
    )]
    Forbidden {
        /// `host[:port]`.
        host: String,
        /// The repository there.
        repository: String,
        /// Which credentials were used, or why none were, and where they come from.
        credentials: String,
        /// What the registry said; empty, or begins with a separator.
        said: String,
    },
    /// It doesn't have it.
    #[error("registry {host}: {what} not found{said}")]
    NotFound {
        /// `host[:port]`.
        host: String,
        /// What was asked for.
        what: String,
        /// What the registry said; empty, or begins with a separator.
        said: String,
    },
    /// It answers with another status than the protocol has.
    #[error("registry {host}: answers {status} to {what}{said}")]
    Status {
        /// `host[:port]`.
        host: String,
        /// What was asked for.
        what: String,
        /// The HTTP status.
        status: u16,
        /// What the registry said; empty, or begins with a separator.
        said: String,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// It sends us to another host, which doesn't give it.
    #[error("registry {host}: redirects to {elsewhere}, which answers {status} to {what}{said}")]
    Elsewhere {
        /// `host[:port]`.
        host: String,
        /// Where it sends us: `host[:port]`.
        elsewhere: String,
        /// What was asked for.
        what: String,
        /// The HTTP status there.
        status: u16,
        /// What is said there; empty, or begins with a separator.
        said: String,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// It sends more than the cap.
    #[error("registry {host}: {what} is refused: {source}")]
    OverLimit {
        /// `host[:port]`.
        host: String,
        /// What was asked for.
        what: String,
        /// The cap.
        source: OverLimit,
    },
    /// It sends something else than what was asked for.
    #[error("registry {host}: {what} has the digest {found}, expected {expected}")]
    Digest {
        /// `host[:port]`.
        host: String,
        /// What was asked for.
        what: String,
        /// The digest that was asked for, or that the registry promised.
        expected: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// The content is longer or shorter there than its descriptor says.
    #[error("registry {host}: {digest} has {found} bytes there, expected {expected}")]
    Size {
        /// `host[:port]`.
        host: String,
        /// What was asked for.
        digest: Digest,
        /// Bytes by the descriptor.
        expected: u64,
        /// Bytes by the registry, or the count at which it was cut off.
        found: u64,
    },
    /// The body ended early.
    #[error("registry {host}: {digest} ended after {found} of {expected} bytes")]
    Truncated {
        /// `host[:port]`.
        host: String,
        /// What was asked for.
        digest: Digest,
        /// Where it should end: by the descriptor, or by the range that was asked for.
        expected: u64,
        /// Where it ended.
        found: u64,
    },
    /// An answer that can't be understood.
    #[error("registry {host}: {what}: {problem}")]
    Malformed {
        /// `host[:port]`.
        host: String,
        /// Which part of the conversation.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A token service that must not see credentials.
    #[error("registry {host}: its token service {realm} is refused: {problem}")]
    Realm {
        /// `host[:port]`.
        host: String,
        /// The address, without its query.
        realm: String,
        /// Why.
        problem: &'static str,
    },
    /// The certificates of `DOCKERLOADER_CA_FILE` can't be used.
    #[error("DOCKERLOADER_CA_FILE {path}: {problem}; expected certificates in PEM form")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A header that can't be sent.
    #[error("the header {name:?} for registry {host} can't be sent: {problem}")]
    Header {
        /// `host[:port]`.
        host: String,
        /// Its name.
        name: String,
        /// Why.
        problem: &'static str,
    },
    /// The HTTP client can't be set up.
    #[error("the HTTP client can't be set up: {problem}; check the proxy variables")]
    Setup {
        /// What went wrong.
        problem: String,
    },
    /// A manifest that can't be used.
    #[error("{reference}: {source}")]
    Manifest {
        /// What was asked for.
        reference: String,
        /// Why not.
        source: manifest::Error,
    },
}

impl Error {
    /// What to do about it.
    pub const fn remedy(&self) -> Remedy {
        match self {
            Self::Refused { .. }
            | Self::NoConnection { .. }
            | Self::Broken { .. }
            | Self::Timeout { .. }
            | Self::Truncated { .. } => Remedy::Retry,
            Self::Status { status, .. } if is_passing(*status) => Remedy::Retry,
            // An address that is no longer good: the next request is given a new one.
            Self::Elsewhere { status, .. } if is_passing(*status) || matches!(*status, 401 | 403) => {
                Remedy::Retry
            }
            Self::UnknownHost { .. }
            | Self::NotFound { .. }
            | Self::Status { .. }
            | Self::Redirect { .. }
            | Self::Elsewhere { .. }
            | Self::Handshake { .. }
            | Self::Malformed { .. } => Remedy::Later,
            Self::OverLimit { .. } => Remedy::Refuse,
            Self::Digest { .. } | Self::Size { .. } => Remedy::Corrupt,
            Self::Certificate { .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::Realm { .. }
            | Self::NoTls { .. }
            | Self::CaFile { .. }
            | Self::Header { .. }
            | Self::Setup { .. } => Remedy::Local,
            Self::Manifest { source, .. } => source.remedy(),
        }
    }

    /// How long the registry asks to be left alone.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } | Self::Elsewhere { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The host that broke off in the middle of an answer, or fell silent.
    pub(super) fn broke_off(&self) -> Option<&str> {
        match self {
            Self::Truncated { host, .. } | Self::Broken { host, .. } | Self::Timeout { host, .. } => {
                Some(host)
            }
            _ => None,
        }
    }

    /// Whether the host itself can't be used, whatever it is asked for.
    pub(super) const fn is_of_host(&self) -> bool {
        matches!(
            self,
            Self::UnknownHost { .. }
                | Self::Refused { .. }
                | Self::NoConnection { .. }
                | Self::Timeout { .. }
                | Self::Certificate { .. }
                | Self::NoTls { .. }
                | Self::Handshake { .. }
        )
    }
}

/// Whether a status is expected to pass by itself.
const fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502..=599)
}

/// A registry's text in an error.
pub(super) fn printable(text: &str) -> String {
    bounded(text, 300)
}
