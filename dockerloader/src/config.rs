//! Environment -> [`Settings`]: pure, and a wrong value is refused by name (nothing is guessed).

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::reference::{Reference, without_secrets};
use crate::volume::{Method, Wanted};

/// The environment as pairs, so that parsing it needs no process.
pub type Environment = BTreeMap<String, String>;

/// What the operator set, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `DOCKERLOADER_TARGET`: the image to follow; `None` when unset, which is an error only where nothing is on disk.
    pub target: Option<Reference>,
    /// `DOCKERLOADER_DATA_DIR`, `/data`.
    pub data_dir: PathBuf,
    /// `DOCKERLOADER_TRIAL_TIMEOUT_MS`, 10000.
    pub trial_timeout: Duration,
    /// `DOCKERLOADER_UPDATE_INTERVAL_SECS`, 300.
    pub update_interval: Duration,
    /// `DOCKERLOADER_ON_TRIAL_FAILURE`, `rollback`.
    pub on_trial_failure: OnTrialFailure,
    /// `DOCKERLOADER_STOP_GRACE_MS`, 8000: from TERM to KILL.
    pub stop_grace: Duration,
    /// `DOCKERLOADER_PROBATION_SECS`, 600.
    pub probation: Duration,
    /// `DOCKERLOADER_POLL`, `auto`: whether the supervisor itself looks for updates.
    pub poll: Poll,
    /// `DOCKERLOADER_TREE_METHOD`, `auto`: how a new version's tree is made from what is there.
    pub tree_method: Wanted,
    /// `DOCKERLOADER_LOG`, `info`.
    pub log: LogLevel,
    /// `DOCKERLOADER_LOG_FORMAT`, `text`.
    pub log_format: LogFormat,
    /// What registries need.
    pub registry: RegistrySettings,
}

/// What registries need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrySettings {
    /// `DOCKER_CONFIG`: the directory of Docker's `config.json`; else `$HOME/.docker`.
    pub docker_config: Option<PathBuf>,
    /// `DOCKERLOADER_CA_FILE`: PEM certificates trusted in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// `DOCKERLOADER_MIRRORS`: `registry=mirror[/prefix]` pairs, comma-separated, tried in this order before the registry.
    pub mirrors: Vec<Mirror>,
    /// `DOCKERLOADER_INSECURE_REGISTRIES`: `host[:port]` list for which plain HTTP is allowed; loopback always is.
    pub insecure: Vec<String>,
    /// `DOCKERLOADER_PLATFORM`: `os/architecture[/variant]` instead of this machine's.
    pub platform: Option<String>,
    /// `DOCKERLOADER_REGISTRY_TIMEOUT_MS`, 30000: how long a registry may be silent before an answer, or within one.
    pub timeout: Duration,
    /// Who asks a host, by `host[:port]`, instead of whom Docker's configuration has for it. No variable sets this.
    pub logins: BTreeMap<String, Login>,
    /// Headers for a host besides those of the protocol, by `host[:port]` and name. No variable sets this.
    pub headers: BTreeMap<String, BTreeMap<String, String>>,
}

/// A user's name and password. The password is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub user: String,
    password: String,
}

impl Login {
    /// A user with a password.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: user.into(), password: password.into() }
    }

    /// The password, for whoever has to be shown it.
    pub fn password(&self) -> &str {
        &self.password
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Default for RegistrySettings {
    fn default() -> Self {
        Self {
            docker_config: None,
            ca_file: None,
            mirrors: Vec::new(),
            insecure: Vec::new(),
            platform: None,
            timeout: Duration::from_millis(REGISTRY_TIMEOUT_MS),
            logins: BTreeMap::new(),
            headers: BTreeMap::new(),
        }
    }
}

/// What a slow but working registry needs, several times over.
const REGISTRY_TIMEOUT_MS: u64 = 30_000;

/// A mirror of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The registry as it stands in references, for example `docker.io`.
    pub registry: String,
    /// `host[:port]` of the mirror.
    pub host: String,
    /// Put before the repository, without slashes at the ends; may be empty.
    pub prefix: String,
}

/// `DOCKERLOADER_ON_TRIAL_FAILURE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTrialFailure {
    /// Run the old version again at once.
    Rollback,
    /// End the supervisor with the trial's exit code.
    Exit,
}

/// `DOCKERLOADER_POLL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poll {
    /// When the application is down, in back-off, or has not asked for three intervals.
    Auto,
    /// Every interval, whatever the application does.
    Always,
    /// Only to install the first version.
    Never,
}

/// `DOCKERLOADER_LOG`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What needs a person.
    Error,
    /// What went wrong and was handled.
    Warn,
    /// Every transition.
    Info,
    /// What led to it.
    Debug,
    /// Everything.
    Trace,
}

/// `DOCKERLOADER_LOG_FORMAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A wrong value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable} is {value:?}, but {allowed}")]
pub struct SettingError {
    /// The variable.
    pub variable: &'static str,
    /// What it was set to; long values are cut, and what looks like a password is left out.
    pub value: String,
    /// What is allowed, as half a sentence.
    pub allowed: String,
}

impl Settings {
    /// Reads the settings out of an environment. An empty value counts as unset, as in a Compose file.
    ///
    /// # Errors
    /// The first variable with a value that is not allowed.
    pub fn parse(environment: &Environment) -> Result<Self, SettingError> {
        let reader = Reader(environment);
        Ok(Self {
            target: reader.parsed("DOCKERLOADER_TARGET", |text| {
                text.parse::<Reference>().map_err(|error| format!("that is no image reference: {error}"))
            })?,
            data_dir: reader.parsed("DOCKERLOADER_DATA_DIR", absolute)?.unwrap_or_else(|| "/data".into()),
            trial_timeout: reader.milliseconds("DOCKERLOADER_TRIAL_TIMEOUT_MS", 10_000, 1..=86_400_000)?,
            update_interval: reader.seconds("DOCKERLOADER_UPDATE_INTERVAL_SECS", 300, 1..=31_536_000)?,
            on_trial_failure: reader.word(
                "DOCKERLOADER_ON_TRIAL_FAILURE",
                &[("rollback", OnTrialFailure::Rollback), ("exit", OnTrialFailure::Exit)],
            )?,
            stop_grace: reader.milliseconds("DOCKERLOADER_STOP_GRACE_MS", 8_000, 0..=86_400_000)?,
            probation: reader.seconds("DOCKERLOADER_PROBATION_SECS", 600, 0..=31_536_000)?,
            poll: reader.word(
                "DOCKERLOADER_POLL",
                &[("auto", Poll::Auto), ("always", Poll::Always), ("never", Poll::Never)],
            )?,
            tree_method: reader.word(
                "DOCKERLOADER_TREE_METHOD",
                &[
                    ("auto", Wanted::Auto),
                    ("overlay", Wanted::Only(Method::Overlay)),
                    ("snapshot", Wanted::Only(Method::Snapshot)),
                    ("reflink", Wanted::Only(Method::Reflink)),
                    ("copy", Wanted::Only(Method::Copy)),
                    ("extract", Wanted::Extract),
                ],
            )?,
            log: reader.word(
                "DOCKERLOADER_LOG",
                &[
                    ("info", LogLevel::Info),
                    ("off", LogLevel::Off),
                    ("error", LogLevel::Error),
                    ("warn", LogLevel::Warn),
                    ("debug", LogLevel::Debug),
                    ("trace", LogLevel::Trace),
                ],
            )?,
            log_format: reader
                .word("DOCKERLOADER_LOG_FORMAT", &[("text", LogFormat::Text), ("json", LogFormat::Json)])?,
            registry: RegistrySettings {
                docker_config: reader.parsed("DOCKER_CONFIG", absolute)?.or_else(|| {
                    environment
                        .get("HOME")
                        .filter(|home| home.starts_with('/'))
                        .map(|home| PathBuf::from(home).join(".docker"))
                }),
                ca_file: reader.parsed("DOCKERLOADER_CA_FILE", absolute)?,
                mirrors: reader.parsed("DOCKERLOADER_MIRRORS", mirrors)?.unwrap_or_default(),
                insecure: reader.parsed("DOCKERLOADER_INSECURE_REGISTRIES", hosts)?.unwrap_or_default(),
                platform: reader.parsed("DOCKERLOADER_PLATFORM", platform)?,
                timeout: reader.milliseconds(
                    "DOCKERLOADER_REGISTRY_TIMEOUT_MS",
                    REGISTRY_TIMEOUT_MS,
                    100..=3_600_000,
                )?,
                ..RegistrySettings::default()
            },
        })
    }
}

struct Reader<'e>(&'e Environment);

impl Reader<'_> {
    fn parsed<T>(
        &self,
        variable: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, SettingError> {
        match self.0.get(variable).map(String::as_str) {
            None | Some("") => Ok(None),
            Some(text) => parse(text).map(Some).map_err(|allowed| SettingError {
                variable,
                value: without_secrets(text).chars().take(200).collect(),
                allowed,
            }),
        }
    }

    fn number(
        &self,
        variable: &'static str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<u64, SettingError> {
        let number = self.parsed(variable, |text| {
            text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
                format!("a whole number from {} to {} is expected", range.start(), range.end())
            })
        })?;
        Ok(number.unwrap_or(default))
    }

    fn milliseconds(
        &self,
        variable: &'static str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<Duration, SettingError> {
        self.number(variable, default, range).map(Duration::from_millis)
    }

    fn seconds(
        &self,
        variable: &'static str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<Duration, SettingError> {
        self.number(variable, default, range).map(Duration::from_secs)
    }

    /// One of the words; the first is the default.
    fn word<T: Copy, const N: usize>(
        &self,
        variable: &'static str,
        words: &[(&str, T); N],
    ) -> Result<T, SettingError> {
        let found = self.parsed(variable, |text| {
            words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
                let all: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                format!("one of {} is expected", all.join(", "))
            })
        })?;
        Ok(found.unwrap_or(words[0].1))
    }
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    if text.starts_with('/') { Ok(text.into()) } else { Err("an absolute path is expected".into()) }
}

fn host(text: &str) -> Option<&str> {
    let plain = !text.is_empty()
        && !text.ends_with(':')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']'));
    plain.then_some(text)
}

fn hosts(text: &str) -> Result<Vec<String>, String> {
    text.split(',')
        .map(|part| host(part.trim()).map(str::to_owned))
        .collect::<Option<_>>()
        .ok_or_else(|| "a comma-separated list of host[:port] is expected, without http://".into())
}

fn mirrors(text: &str) -> Result<Vec<Mirror>, String> {
    text.split(',')
        .map(|part| {
            let (registry, mirror) = part.trim().split_once('=')?;
            let (mirror, prefix) = mirror.split_once('/').unwrap_or((mirror, ""));
            Some(Mirror {
                registry: host(registry)?.to_owned(),
                host: host(mirror)?.to_owned(),
                prefix: prefix.trim_end_matches('/').to_owned(),
            })
        })
        .collect::<Option<_>>()
        .ok_or_else(|| "a comma-separated list of registry=mirror[:port][/prefix] is expected".into())
}

fn platform(text: &str) -> Result<String, String> {
    let parts: Vec<_> = text.split('/').collect();
    if (2..=3).contains(&parts.len()) && parts.iter().all(|part| !part.is_empty()) {
        Ok(text.to_owned())
    } else {
        Err("os/architecture or os/architecture/variant is expected, for example linux/arm/v7".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Settings, SettingError> {
        Settings::parse(&pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let settings = parse(&[]).unwrap();
        assert_eq!(settings.target, None);
        assert_eq!(settings.data_dir, PathBuf::from("/data"));
        assert_eq!(settings.trial_timeout, Duration::from_secs(10));
        assert_eq!(settings.update_interval, Duration::from_secs(300));
        assert_eq!(settings.on_trial_failure, OnTrialFailure::Rollback);
        assert_eq!(settings.stop_grace, Duration::from_secs(8));
        assert_eq!(settings.probation, Duration::from_secs(600));
        assert_eq!(settings.poll, Poll::Auto);
        assert_eq!(settings.tree_method, Wanted::Auto);
        assert_eq!(settings.registry, RegistrySettings::default());
        assert_eq!(settings.registry.timeout, Duration::from_secs(30));
        assert_eq!((settings.log, settings.log_format), (LogLevel::Info, LogFormat::Text));
    }

    #[test]
    fn a_wrong_value_is_refused_by_name_value_and_remedy() {
        for (variable, value, hint) in [
            ("DOCKERLOADER_TARGET", "UPPER/case", "reference"),
            ("DOCKERLOADER_TRIAL_TIMEOUT_MS", "10s", "whole number from 1 to 86400000"),
            ("DOCKERLOADER_TRIAL_TIMEOUT_MS", "0", "whole number"),
            ("DOCKERLOADER_TRIAL_TIMEOUT_MS", "-1", "whole number"),
            ("DOCKERLOADER_UPDATE_INTERVAL_SECS", "99999999999999999999", "whole number"),
            ("DOCKERLOADER_ON_TRIAL_FAILURE", "Rollback", "rollback, exit"),
            ("DOCKERLOADER_DATA_DIR", "data", "absolute"),
            ("DOCKERLOADER_LOG", "loud", "info, off"),
            ("DOCKERLOADER_LOG_FORMAT", "xml", "text, json"),
            ("DOCKERLOADER_POLL", "yes", "auto, always, never"),
            ("DOCKERLOADER_TREE_METHOD", "hardlink", "auto, overlay, snapshot, reflink, copy, extract"),
            ("DOCKERLOADER_MIRRORS", "mirror.example", "registry=mirror"),
            ("DOCKERLOADER_MIRRORS", "docker.io=https://mirror.example", "registry=mirror"),
            ("DOCKERLOADER_INSECURE_REGISTRIES", "http://x", "without http://"),
            ("DOCKERLOADER_PLATFORM", "arm64", "os/architecture"),
            ("DOCKERLOADER_REGISTRY_TIMEOUT_MS", "0", "whole number from 100 to 3600000"),
        ] {
            let error = parse(&[(variable, value)]).unwrap_err();
            assert_eq!(error.variable, variable);
            let text = error.to_string();
            assert!(text.contains(variable) && text.contains(value) && text.contains(hint), "{text}");
        }
    }

    #[test]
    fn mirrors_keep_their_order_and_prefix() {
        let settings =
            parse(&[("DOCKERLOADER_MIRRORS", "docker.io=localhost:5001/cache/,docker.io=m.example")])
                .unwrap();
        let mirror = |host: &str, prefix: &str| Mirror {
            registry: "docker.io".into(),
            host: host.into(),
            prefix: prefix.into(),
        };
        assert_eq!(settings.registry.mirrors, [mirror("localhost:5001", "cache"), mirror("m.example", "")]);
    }
}
