//! Whether a registry is there, how far away it is, and as whom it is asked.

use std::time::Duration;

use super::credentials::Credential;
use super::endpoint::base;
use super::error::Error;
use super::{Client, answer};
use crate::config::Login;
use crate::reference::Reference;

/// What a registry is shown when it wants to know who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// Nothing.
    Nothing,
    /// A user with a password.
    Login(Login),
    /// A token that stands for a user, and is good for other tokens only.
    IdentityToken,
}

impl Client {
    /// How long a registry takes for its smallest answer: one `GET /v2/` without credentials (OCI distribution spec,
    /// "Determining Support"). `registry` is `host[:port]` as in references. What it says to a stranger shows that it is there,
    /// whatever it is; only what stands for a failure of its own is an error.
    ///
    /// # Errors
    /// [`Error`], at once: nothing is asked twice.
    pub async fn probe(&self, registry: &str) -> Result<Duration, Error> {
        let endpoint = base(registry, &self.settings);
        let (response, latency) = self.greet(&endpoint).await?;
        let status = response.status();
        if status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) {
            let asked = answer::Asked {
                host: &endpoint.host,
                repository: "the registry",
                what: "/v2/",
                credentials: String::new(),
            };
            return Err(answer::refusal(&self.transport, response, self.limits.error_bytes, asked).await);
        }
        Ok(latency)
    }

    /// Which credentials the registry of a reference is shown. They are looked up once.
    pub async fn shown(&self, reference: &Reference) -> Shown {
        let host = base(reference.registry(), &self.settings).host;
        match self.authenticator.shown(&self.transport, &host).await {
            Credential::Anonymous => Shown::Nothing,
            Credential::Basic(user, password) => Shown::Login(Login::new(user, password)),
            Credential::Identity(_) => Shown::IdentityToken,
        }
    }
}
