//! Environment -> [`Settings`]: pure, and a wrong value is refused by name (nothing is guessed).

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use tracing::level_filters::LevelFilter;

/// What the operator set, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `DEVICED_DATA_DIR`, `/data/deviced`: the history, and what else outlives a restart.
    pub data_dir: PathBuf,
    /// `DEVICED_DOCUMENT`, `device.yaml` in the data directory.
    pub document: PathBuf,
    /// `DEVICED_SOCKET`, `/run/deviced/deviced.sock`: where the API is for local administrators.
    pub socket: PathBuf,
    /// `DEVICED_LISTEN`, off: a loopback address where the API is for those who have the token. Port 0 is any free one.
    pub listen: Option<SocketAddr>,
    /// `DEVICED_TOKEN_FILE`, `token` in the data directory: the file with that token.
    pub token_file: PathBuf,
    /// `DOCKER_HOST`, `unix:///var/run/docker.sock`: the engine's socket.
    pub engine: PathBuf,
    /// `DEVICED_INSTANCE`, `deviced`: whose containers in the engine are ours, where several deviceds share one.
    pub instance: String,
    /// `DOCKER_CONFIG`, `$HOME/.docker`: the directory of Docker's `config.json` with credentials for registries.
    pub docker_config: Option<PathBuf>,
    /// `DEVICED_LOG`, `info`.
    pub log: LevelFilter,
    /// `DEVICED_LOG_FORMAT`, `text`.
    pub log_format: LogFormat,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where the API's socket is if nobody says so: the command line looks there too.
pub const SOCKET: &str = "/run/deviced/deviced.sock";
/// Where the data are if nobody says so.
const DATA_DIR: &str = "/data/deviced";
const INSTANCE: &str = "deviced";
const ENGINE: &str = "/var/run/docker.sock";
/// Bytes of a socket's path, at most (`unix(7)`, `sun_path`, less the zero at its end).
const MAX_SOCKET: usize = 107;

impl Settings {
    /// Reads the settings through `variable`, which gives a variable's value. An empty value counts as unset, as in a Compose file.
    ///
    /// # Errors
    /// The first variable with a value that is not allowed: which, what it was, and what is allowed.
    pub fn read(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, String> {
        let environment = Environment(variable);
        let data_dir = environment.path("DEVICED_DATA_DIR")?.unwrap_or_else(|| DATA_DIR.into());
        let inside = |name: &str| data_dir.join(name);
        Ok(Self {
            document: environment.path("DEVICED_DOCUMENT")?.unwrap_or_else(|| inside("device.yaml")),
            socket: environment.socket("DEVICED_SOCKET")?.unwrap_or_else(|| SOCKET.into()),
            listen: environment.listen("DEVICED_LISTEN")?,
            token_file: environment.path("DEVICED_TOKEN_FILE")?.unwrap_or_else(|| inside("token")),
            engine: environment.engine("DOCKER_HOST")?.unwrap_or_else(|| ENGINE.into()),
            instance: environment.name("DEVICED_INSTANCE")?.unwrap_or_else(|| INSTANCE.to_owned()),
            docker_config: environment.path("DOCKER_CONFIG")?.or_else(|| {
                let home = PathBuf::from(variable("HOME")?);
                home.is_absolute().then(|| home.join(".docker"))
            }),
            log: environment.word(
                "DEVICED_LOG",
                &[
                    ("info", LevelFilter::INFO),
                    ("off", LevelFilter::OFF),
                    ("error", LevelFilter::ERROR),
                    ("warn", LevelFilter::WARN),
                    ("debug", LevelFilter::DEBUG),
                    ("trace", LevelFilter::TRACE),
                ],
            )?,
            log_format: environment
                .word("DEVICED_LOG_FORMAT", &[("text", LogFormat::Text), ("json", LogFormat::Json)])?,
            data_dir,
        })
    }
}

/// Reads one variable at a time.
struct Environment<'a>(&'a dyn Fn(&str) -> Option<OsString>);

impl Environment<'_> {
    fn value(&self, name: &str) -> Option<OsString> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    fn text(&self, name: &str) -> Result<Option<String>, String> {
        let read = |value: OsString| value.into_string().map_err(|value| refused(name, &value, "UTF-8 text"));
        self.value(name).map(read).transpose()
    }

    fn path(&self, name: &str) -> Result<Option<PathBuf>, String> {
        let Some(value) = self.value(name) else { return Ok(None) };
        if Path::new(&value).is_absolute() {
            Ok(Some(value.into()))
        } else {
            Err(refused(name, &value, "an absolute path"))
        }
    }

    fn socket(&self, name: &str) -> Result<Option<PathBuf>, String> {
        let path = self.path(name)?;
        match &path {
            Some(path) if path.as_os_str().len() > MAX_SOCKET => Err(refused(
                name,
                path.as_os_str(),
                &format!("an absolute path of at most {MAX_SOCKET} bytes, as sockets have"),
            )),
            _ => Ok(path),
        }
    }

    fn listen(&self, name: &str) -> Result<Option<SocketAddr>, String> {
        match self.text(name)?.as_deref() {
            None | Some("off") => Ok(None),
            Some(text) => match text.parse::<SocketAddr>() {
                Ok(address) if address.ip().is_loopback() => Ok(Some(address)),
                _ => Err(refused(
                    name,
                    OsStr::new(text),
                    "a loopback address with a port, such as 127.0.0.1:7788 or [::1]:7788, or off",
                )),
            },
        }
    }

    /// It stands in labels, and is filtered by.
    fn name(&self, name: &str) -> Result<Option<String>, String> {
        let is_good = |text: &str| {
            text.len() <= 63
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        };
        match self.text(name)? {
            Some(text) if !is_good(&text) => {
                Err(refused(name, OsStr::new(&text), "letters, digits, `_`, `.` and `-`, at most 63"))
            }
            text => Ok(text),
        }
    }

    /// Only a socket of this machine: deviced has nothing to say about other machines' containers.
    fn engine(&self, name: &str) -> Result<Option<PathBuf>, String> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let path = value.as_bytes().strip_prefix(b"unix://").map(|path| Path::new(OsStr::from_bytes(path)));
        match path {
            Some(path) if path.is_absolute() && path.as_os_str().len() <= MAX_SOCKET => {
                Ok(Some(path.to_owned()))
            }
            _ => Err(refused(
                name,
                &value,
                "unix:// and the absolute path of the engine's socket on this machine, such as unix:///var/run/docker.sock",
            )),
        }
    }

    /// One of the words; the first is the default.
    fn word<T: Copy, const N: usize>(&self, name: &str, words: &[(&str, T); N]) -> Result<T, String> {
        const { assert!(N > 0, "there is a default") };
        let Some(text) = self.text(name)? else { return Ok(words[0].1) };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        found.ok_or_else(|| {
            let all: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            refused(name, OsStr::new(&text), &format!("one of {}", all.join(", ")))
        })
    }
}

/// Which variable, what it was, and what is allowed. A long value is cut, and what stands before an `@` may be a password.
fn refused(name: &str, value: &OsStr, allowed: &str) -> String {
    let value = value.to_string_lossy();
    let shown: String = match value.rsplit_once('@') {
        Some((_, host)) => format!("***@{host}"),
        None => value.into_owned(),
    };
    let shown: String = shown.chars().take(200).collect();
    format!("{name} is {shown:?}; what is allowed is {allowed}")
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, String> {
        Settings::read(&|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn without_a_variable_everything_has_its_default() {
        let defaults = Settings {
            data_dir: "/data/deviced".into(),
            document: "/data/deviced/device.yaml".into(),
            socket: "/run/deviced/deviced.sock".into(),
            listen: None,
            token_file: "/data/deviced/token".into(),
            engine: "/var/run/docker.sock".into(),
            instance: "deviced".to_owned(),
            docker_config: None,
            log: LevelFilter::INFO,
            log_format: LogFormat::Text,
        };
        assert_eq!(read(&[]), Ok(defaults.clone()));
        let names = [
            "DEVICED_DATA_DIR",
            "DEVICED_DOCUMENT",
            "DEVICED_SOCKET",
            "DEVICED_LISTEN",
            "DEVICED_TOKEN_FILE",
            "DOCKER_HOST",
            "DEVICED_INSTANCE",
            "DOCKER_CONFIG",
            "DEVICED_LOG",
            "DEVICED_LOG_FORMAT",
        ];
        assert_eq!(read(&names.map(|name| (name, ""))), Ok(defaults), "an empty value is none");
    }

    #[test]
    fn files_are_in_the_data_directory_unless_they_are_said_to_be_elsewhere() {
        let settings = read(&[("DEVICED_DATA_DIR", "/srv/d")]).unwrap();
        assert_eq!(settings.document, Path::new("/srv/d/device.yaml"));
        assert_eq!(settings.token_file, Path::new("/srv/d/token"));
        assert_eq!(settings.socket, Path::new(SOCKET), "the command line has to find it");
        let settings = read(&[("DEVICED_DATA_DIR", "/srv/d"), ("DEVICED_DOCUMENT", "/etc/d.yaml")]).unwrap();
        assert_eq!(settings.document, Path::new("/etc/d.yaml"));
    }

    #[test]
    fn right_values_are_taken() {
        let settings = read(&[
            ("DEVICED_SOCKET", "/tmp/s"),
            ("DEVICED_LISTEN", "[::1]:0"),
            ("DEVICED_TOKEN_FILE", "/run/secrets/token"),
            ("DOCKER_HOST", "unix:///run/podman/podman.sock"),
            ("DEVICED_INSTANCE", "shop-17"),
            ("HOME", "/root"),
            ("DEVICED_LOG", "off"),
            ("DEVICED_LOG_FORMAT", "json"),
        ])
        .unwrap();
        assert_eq!(settings.socket, Path::new("/tmp/s"));
        assert_eq!(settings.listen, Some("[::1]:0".parse().unwrap()));
        assert_eq!(settings.token_file, Path::new("/run/secrets/token"));
        assert_eq!(settings.engine, Path::new("/run/podman/podman.sock"));
        assert_eq!(settings.instance, "shop-17");
        assert_eq!(settings.docker_config.as_deref(), Some(Path::new("/root/.docker")));
        assert_eq!((settings.log, settings.log_format), (LevelFilter::OFF, LogFormat::Json));
        assert_eq!(read(&[("DEVICED_LISTEN", "off")]).unwrap().listen, None);
    }

    #[test]
    fn wrong_values_are_refused_by_name_with_what_is_allowed() {
        let long = format!("/{}", "s".repeat(MAX_SOCKET));
        for (name, value, allowed) in [
            ("DEVICED_DATA_DIR", "data", "an absolute path"),
            ("DEVICED_DOCUMENT", "./device.yaml", "an absolute path"),
            ("DEVICED_TOKEN_FILE", "token", "an absolute path"),
            ("DEVICED_SOCKET", "unix:///run/s", "an absolute path"),
            ("DEVICED_SOCKET", &long, "at most 107 bytes"),
            ("DEVICED_LISTEN", "0.0.0.0:7788", "a loopback address"),
            ("DEVICED_LISTEN", "192.168.1.7:7788", "a loopback address"),
            ("DEVICED_LISTEN", "127.0.0.1", "127.0.0.1:7788"),
            ("DEVICED_LISTEN", "localhost:7788", "127.0.0.1:7788"),
            ("DEVICED_LISTEN", "127.0.0.1:77880", "127.0.0.1:7788"),
            ("DOCKER_HOST", "tcp://192.168.1.7:2375", "unix:///var/run/docker.sock"),
            ("DOCKER_HOST", "unix://docker.sock", "unix:///var/run/docker.sock"),
            ("DOCKER_HOST", "/var/run/docker.sock", "unix:///var/run/docker.sock"),
            ("DEVICED_INSTANCE", "shop 17", "letters, digits"),
            ("DOCKER_CONFIG", "~/.docker", "an absolute path"),
            ("DEVICED_LOG", "verbose", "info, off, error, warn, debug, trace"),
            ("DEVICED_LOG", "INFO", "info, off, error, warn, debug, trace"),
            ("DEVICED_LOG_FORMAT", "xml", "text, json"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.starts_with(&format!("{name} is {value:?}; ")), "{error}");
            assert!(error.contains(allowed), "{error}");
        }
    }

    #[test]
    fn a_refusal_shows_no_password() {
        let error = read(&[("DOCKER_HOST", "tcp://root:geheim@device:2375")]).unwrap_err();
        assert!(error.contains("\"***@device:2375\"") && !error.contains("geheim"), "{error}");
    }

    #[test]
    fn paths_may_be_other_than_utf_8_and_words_may_not() {
        let odd = OsString::from_vec(b"/srv/\xff".to_vec());
        let read = |name: &'static str| Settings::read(&|asked| (asked == name).then(|| odd.clone()));
        assert_eq!(read("DEVICED_DATA_DIR").unwrap().data_dir.as_os_str(), odd);
        assert!(read("DEVICED_LOG").unwrap_err().starts_with("DEVICED_LOG is \"/srv/\u{fffd}\""));
    }
}
