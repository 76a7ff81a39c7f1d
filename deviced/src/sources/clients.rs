//! One client for each registry of a document, and one for all others.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};

use dockerloader::config::{Environment, Login, RegistrySettings};
use dockerloader::limits::Limits;
use dockerloader::registry::{Client, is_loopback, retry};

use super::candidates::host;
use super::say::say;
use crate::document::registry::{Credentials, Registry};

/// Bytes of a file with a password, at most.
const PASSWORD_BYTES: u64 = 64 << 10;

/// Nothing is asked twice at once: there are other registries, and other times.
const IMPATIENT: retry::Policy = retry::Policy {
    failures: 1,
    first: std::time::Duration::ZERO,
    longest: std::time::Duration::ZERO,
    longest_asked: std::time::Duration::ZERO,
};

/// The clients. Each is made when it is needed for the first time.
pub(super) struct Clients {
    settings: RegistrySettings,
    registries: Vec<Registry>,
    /// Those variables that registries name.
    passwords: BTreeMap<String, String>,
    made: Mutex<BTreeMap<Option<usize>, Arc<Client>>>,
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").field("registries", &self.registries).finish_non_exhaustive()
    }
}

impl Clients {
    pub(super) fn new(
        registries: &[Registry],
        settings: &RegistrySettings,
        environment: &Environment,
    ) -> Self {
        let named =
            registries.iter().filter_map(|registry| registry.credentials.as_ref()?.password_env.as_ref());
        let passwords = named.filter_map(|name| Some((name.clone(), environment.get(name)?.clone())));
        Self {
            // Which registries stand in for which is said by the document.
            settings: RegistrySettings { mirrors: Vec::new(), ..settings.clone() },
            registries: registries.to_vec(),
            passwords: passwords.collect(),
            made: Mutex::default(),
        }
    }

    pub(super) fn registries(&self) -> &[Registry] {
        &self.registries
    }

    /// A registry of the document.
    pub(super) fn registry(&self, declared: Option<usize>) -> Option<&Registry> {
        self.registries.get(declared?)
    }

    /// The client for a registry of the document, or for any other one.
    ///
    /// # Errors
    /// What is wrong with its settings.
    pub(super) fn get(&self, declared: Option<usize>) -> Result<Arc<Client>, String> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = made.get(&declared) {
            return Ok(Arc::clone(client));
        }
        let settings = match self.registry(declared) {
            Some(registry) => self.settings_for(registry)?,
            None => self.settings.clone(),
        };
        let client = Client::new(&settings, Limits::default()).map_err(|error| say(&error))?;
        let client = Arc::new(client.with_policy(IMPATIENT));
        made.insert(declared, Arc::clone(&client));
        Ok(client)
    }

    /// Makes the client anew next time, and reads the credentials again: they were refused.
    pub(super) fn forget(&self, declared: Option<usize>) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).remove(&declared);
    }

    fn settings_for(&self, registry: &Registry) -> Result<RegistrySettings, String> {
        let host = host(&registry.url);
        let mut settings = self.settings.clone();
        if registry.plain_http {
            settings.insecure.push(host.clone());
        }
        if let Some(ca) = &registry.ca {
            settings.ca_file = Some(ca.into());
        }
        if let Some(credentials) = &registry.credentials {
            let login = Login::new(&credentials.username, self.password(credentials)?);
            settings.logins.insert(host.clone(), login);
        }
        if !registry.headers.is_empty() {
            settings.headers.insert(host, registry.headers.clone());
        }
        Ok(settings)
    }

    fn password(&self, credentials: &Credentials) -> Result<String, String> {
        let user = &credentials.username;
        let (text, from) = match (&credentials.password_file, &credentials.password_env) {
            (Some(path), _) => {
                let mut text = String::new();
                let read = std::fs::File::open(path)
                    .and_then(|file| file.take(PASSWORD_BYTES + 1).read_to_string(&mut text));
                if let Err(error) = read {
                    return Err(format!("the password of {user:?} can't be read from {path}: {error}"));
                }
                (text, path)
            }
            (None, Some(name)) => {
                let text = self.passwords.get(name).cloned().ok_or_else(|| {
                    format!("the password of {user:?} is to be in the variable {name}, which is not set")
                })?;
                (text, name)
            }
            (None, None) => return Err(format!("nothing says where the password of {user:?} is")),
        };
        // Editors end files with a line's end; no password does.
        let password = text.trim_end_matches(['\r', '\n']);
        if password.is_empty() || text.len() as u64 > PASSWORD_BYTES {
            return Err(format!(
                "the password of {user:?} in {from} has {} bytes, expected 1 to {PASSWORD_BYTES}",
                password.len()
            ));
        }
        Ok(password.to_owned())
    }

    /// Why the engine can't pull from a registry itself, by its settings; `None` if it can. Without a change of its own configuration it
    /// knows the system's authorities, sends no headers, and speaks plain HTTP with this machine only.
    pub(super) fn obstacle(&self, declared: Option<usize>, host: &str) -> Option<&'static str> {
        let is_insecure = |registry: &Registry| registry.plain_http || registry.url.starts_with("http://");
        let registry = self.registry(declared);
        if registry.is_some_and(|registry| registry.ca.is_some()) {
            Some("its authority is a private one")
        } else if registry.is_some_and(|registry| !registry.headers.is_empty()) {
            Some("it wants headers")
        } else if is_loopback(host) {
            None
        } else if registry.is_some_and(is_insecure) || self.settings.insecure.iter().any(|one| one == host) {
            Some("it speaks plain HTTP")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(value: serde_json::Value) -> Registry {
        serde_json::from_value(value).unwrap()
    }

    fn clients(registries: &[Registry]) -> Clients {
        let environment = [("PASSWORD", "hunter2"), ("EMPTY", "\n"), ("OTHER", "secret")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let settings =
            RegistrySettings { insecure: vec!["old.example".to_owned()], ..RegistrySettings::default() };
        Clients::new(registries, &settings, &environment)
    }

    #[test]
    fn passwords_come_from_files_and_variables_and_are_never_shown() {
        use std::io::Write as _;
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8]| {
            let path = directory.path().join(name);
            std::fs::File::create(&path).unwrap().write_all(content).unwrap();
            path.to_string_lossy().into_owned()
        };
        let (good, empty, binary) =
            (file("good", b" hun ter2\r\n"), file("empty", b"\n"), file("binary", b"\xff"));
        let large = file("large", &[b'x'; (64 << 10) + 1]);
        let missing = format!("{good}-not");
        for (member, place, expected) in [
            ("passwordFile", good.as_str(), Ok(" hun ter2")),
            ("passwordEnv", "PASSWORD", Ok("hunter2")),
            ("passwordFile", &empty, Err("has 0 bytes, expected 1 to 65536")),
            ("passwordFile", &binary, Err("can't be read")),
            ("passwordFile", &large, Err("65537 bytes")),
            ("passwordFile", &missing, Err("No such file")),
            ("passwordEnv", "EMPTY", Err("has 0 bytes")),
            ("passwordEnv", "NOT_SET", Err("the variable NOT_SET, which is not set")),
        ] {
            let one = registry(serde_json::json!({
                "url": "https://r.example", "credentials": {"username": "u", member: place},
            }));
            let clients = clients(std::slice::from_ref(&one));
            match (clients.settings_for(&one), expected) {
                (Ok(settings), Ok(password)) => {
                    assert_eq!(settings.logins["r.example"], Login::new("u", password));
                    let shown = format!("{clients:?} {settings:?} {:?}", clients.get(Some(0)).unwrap());
                    assert!(!shown.contains("hun") && !shown.contains("secret"), "{shown}");
                }
                (Err(problem), Err(hint)) => {
                    assert!(problem.contains(hint) && problem.contains("\"u\""), "{problem}");
                    assert!(clients.get(Some(0)).is_err());
                }
                other => panic!("{member} {place}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_engine_pulls_itself_what_it_can() {
        let registries = [
            registry(serde_json::json!({"url": "https://a.example"})),
            registry(serde_json::json!({"url": "https://b.example", "ca": "/ca.pem"})),
            registry(serde_json::json!({"url": "https://c.example", "headers": {"x": "1"}})),
            registry(serde_json::json!({"url": "http://d.example", "plainHttp": true})),
            registry(serde_json::json!({"url": "https://e.example", "plainHttp": true})),
            registry(serde_json::json!({"url": "http://127.0.0.1:5000", "plainHttp": true})),
            registry(serde_json::json!({"url": "https://localhost:5001", "ca": "/ca.pem"})),
            registry(serde_json::json!({
                "url": "https://f.example", "credentials": {"username": "u", "passwordEnv": "PASSWORD"},
            })),
        ];
        let clients = clients(&registries);
        for (declared, is_able) in
            [(0, true), (1, false), (2, false), (3, false), (4, false), (5, true), (6, false), (7, true)]
        {
            let host = host(&registries[declared].url);
            assert_eq!(clients.obstacle(Some(declared), &host).is_none(), is_able, "{host}");
        }
        assert_eq!(clients.obstacle(None, "docker.io"), None);
        assert_eq!(clients.obstacle(None, "old.example"), Some("it speaks plain HTTP"));
    }

    #[test]
    fn a_client_is_made_once_and_again_when_it_is_forgotten() {
        let clients = clients(&[registry(serde_json::json!({"url": "https://a.example"}))]);
        let first = clients.get(Some(0)).unwrap();
        assert!(Arc::ptr_eq(&first, &clients.get(Some(0)).unwrap()));
        assert!(!Arc::ptr_eq(&first, &clients.get(None).unwrap()));
        clients.forget(Some(0));
        assert!(!Arc::ptr_eq(&first, &clients.get(Some(0)).unwrap()));
    }
}
