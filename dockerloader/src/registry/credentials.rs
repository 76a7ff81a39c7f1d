//! Docker's credentials for a host: `config.json` with `auths`, `credHelpers` and `credsStore`.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use docker_credential::{CredentialRetrievalError, DockerCredential};

use crate::config::Login;

/// Bytes of a `config.json` that are read.
const CONFIG_BYTES: u64 = 1 << 20;

/// What a registry, or its token service, is shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credential {
    /// Nothing.
    Anonymous,
    /// User name and password.
    Basic(String, String),
    /// A refresh token, to be changed for an access token (OAuth 2).
    Identity(String),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Basic(..) => "Basic",
            Self::Identity(_) => "Identity",
        })
    }
}

/// Credentials and where they come from.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) credential: Credential,
    /// For errors: half a sentence without secrets.
    pub(super) origin: String,
}

impl Found {
    /// Credentials that were given, and need no looking up.
    pub(super) fn given(login: &Login) -> Self {
        Self {
            credential: Credential::Basic(login.user.clone(), login.password().to_owned()),
            origin: format!("as user {:?}", super::error::printable(&login.user)),
        }
    }
}

/// Looks credentials up under the keys in their order. Never fails: without credentials the registry is asked anonymously,
/// and if it refuses, the error says what went wrong here.
///
/// A credential helper is a process, and it may hang: after `deadline` it is left to itself. A thread of its own is used,
/// since the runtime would wait for one of its blocking threads at the end.
pub(super) async fn look_up(directory: Option<PathBuf>, keys: Vec<String>, deadline: Duration) -> Found {
    let anonymous = |why: String| Found {
        credential: Credential::Anonymous,
        origin: format!("without credentials: {why}"),
    };
    let Some(path) = directory.map(|directory| directory.join("config.json")) else {
        return anonymous("neither DOCKER_CONFIG nor HOME is set".to_owned());
    };
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let read = {
        let path = path.clone();
        move || {
            // The receiver is gone when the deadline has passed.
            let _ = sender.send(read(&path, &keys));
        }
    };
    if let Err(error) = std::thread::Builder::new().name("credentials".to_owned()).spawn(read) {
        return anonymous(format!("no thread to read {} with: {error}", path.display()));
    }
    match tokio::time::timeout(deadline, receiver).await {
        Ok(Ok(Ok(found))) => found,
        Ok(Ok(Err(why))) => anonymous(why),
        Ok(Err(_)) => anonymous(format!("reading {} failed", path.display())),
        Err(_) => anonymous(format!(
            "the credential helper that {} names did not answer within {} s",
            path.display(),
            deadline.as_secs()
        )),
    }
}

/// The credentials that the file has under the first key that it knows.
fn read(path: &Path, keys: &[String]) -> Result<Found, String> {
    let shown = path.display();
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(CONFIG_BYTES + 1).read_to_end(&mut bytes)) {
        Ok(_) if bytes.len() as u64 > CONFIG_BYTES => {
            return Err(format!("{shown} is over {CONFIG_BYTES} bytes"));
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(format!("there is no {shown}"));
        }
        Err(error) => return Err(format!("{shown} can't be read: {error}")),
    }
    for key in keys {
        let credential = match docker_credential::get_credential_from_reader(bytes.as_slice(), key) {
            Ok(DockerCredential::UsernamePassword(user, password))
                if user.is_empty() && password.is_empty() =>
            {
                continue;
            }
            Ok(DockerCredential::UsernamePassword(user, password)) => Credential::Basic(user, password),
            Ok(DockerCredential::IdentityToken(token)) => Credential::Identity(token),
            Err(CredentialRetrievalError::NoCredentialConfigured) => continue,
            Err(CredentialRetrievalError::HelperFailure { stdout, .. }) if has_none(&stdout) => continue,
            Err(error) => return Err(format!("{shown}, {key}: {}", problem(&error))),
        };
        let origin = match &credential {
            Credential::Basic(user, _) => format!("as user {:?} from {shown}", super::error::printable(user)),
            _ => format!("with the identity token from {shown}"),
        };
        return Ok(Found { credential, origin });
    }
    Err(format!("{shown} has none for {}", keys.first().map_or("", String::as_str)))
}

/// What helpers say when they know nothing about a host (docker-credential-helpers, "credentials not found").
fn has_none(stdout: &str) -> bool {
    stdout.trim().starts_with("credentials not found")
}

/// What went wrong, without what a helper wrote: it may hold a secret.
fn problem(error: &CredentialRetrievalError) -> String {
    match error {
        CredentialRetrievalError::HelperFailure { helper, .. } => {
            format!("the credential helper {helper} failed")
        }
        CredentialRetrievalError::HelperCommunicationError => {
            "the credential helper can't be talked to; is it installed and in PATH?".to_owned()
        }
        CredentialRetrievalError::MalformedHelperResponse => {
            "the credential helper's answer can't be read".to_owned()
        }
        CredentialRetrievalError::CredentialDecodingError => {
            "its `auth` is not user:password in Base64".to_owned()
        }
        CredentialRetrievalError::CredentialMismatchError => {
            "its `auth` differs from its `username` and `password`".to_owned()
        }
        _ => "it is no Docker configuration".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(config: &str, keys: &[&str]) -> Result<Found, String> {
        use std::io::Write as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        File::create(&path).unwrap().write_all(config.as_bytes()).unwrap();
        read(&path, &keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn credentials_are_found_in_every_form() {
        let basic = |user: &str, password: &str| Credential::Basic(user.into(), password.into());
        let hub = &["https://index.docker.io/v1/", "index.docker.io", "docker.io"][..];
        for (config, keys, expected) in [
            (
                r#"{"auths":{"r.example:5000":{"auth":"dTpwOnc="}}}"#,
                &["r.example:5000"][..],
                basic("u", "p:w"),
            ),
            (
                r#"{"auths":{"https://r.example/v1/":{"username":"u","password":"p"}}}"#,
                &["r.example"],
                basic("u", "p"),
            ),
            (r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dTpw"}}}"#, hub, basic("u", "p")),
            (r#"{"auths":{"docker.io":{"auth":"dTpw"}}}"#, hub, basic("u", "p")),
            (
                r#"{"auths":{"r.example":{"auth":"dTo=","identitytoken":"secret"}}}"#,
                &["r.example"],
                Credential::Identity("secret".into()),
            ),
        ] {
            let found = look(config, keys).unwrap();
            assert!(found.credential == expected, "{config}");
            assert!(
                found.origin.contains("config.json") && !found.origin.contains("secret"),
                "{}",
                found.origin
            );
            assert!(!format!("{found:?}").contains("p:w"));
        }
    }

    #[test]
    fn why_there_are_none_is_said_without_secrets() {
        for (config, hint) in [
            ("{}", "has none for r.example"),
            (r#"{"auths":{"r.example":{}}}"#, "has none for r.example"),
            (r#"{"auths":{"r.example.org":{"auth":"dTpw"}}}"#, "has none for r.example"),
            ("not json", "no Docker configuration"),
            (r#"{"auths":{"r.example":{"auth":"hunter2!"}}}"#, "not user:password in Base64"),
            (r#"{"credHelpers":{"r.example":"does-not-exist-here"}}"#, "is it installed"),
            (r#"{"credsStore":"does-not-exist-here"}"#, "is it installed"),
        ] {
            let why = look(config, &["r.example"]).unwrap_err();
            assert!(why.contains(hint) && !why.contains("hunter2"), "{why}");
        }
        assert!(read(Path::new("/nonexistent/config.json"), &[]).unwrap_err().contains("there is no"));
    }
}
