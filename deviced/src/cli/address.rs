//! Where deviced is: its Unix socket, or a loopback address and a token. Pure but for reading the token.

use std::ffi::OsString;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::exit::Exit;
use super::failure::{Failure, Result};
use crate::settings::SOCKET;

/// Bytes of a token, at most.
const MAX_TOKEN: u64 = 4096;

/// Where deviced is.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// Its Unix socket: who may open it may ask.
    Socket(PathBuf),
    /// A loopback address, and the token that it asks for.
    Loopback(SocketAddr, String),
}

/// The token is not shown.
impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket(path) => f.debug_tuple("Socket").field(path).finish(),
            Self::Loopback(address, _) => f.debug_tuple("Loopback").field(address).finish_non_exhaustive(),
        }
    }
}

impl Address {
    /// What the options say counts more than `DEVICED_SOCKET`; `variable` gives a variable's value.
    pub(super) fn find(
        socket: Option<PathBuf>,
        url: Option<&str>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let Some(url) = url else {
            return Ok(Self::Socket(
                socket.or_else(|| set("DEVICED_SOCKET")).unwrap_or_else(|| SOCKET.into()),
            ));
        };
        let address = loopback(url).ok_or_else(|| {
            Failure::new(
                Exit::Usage,
                format!(
                    "--url is {url:?}; what is allowed is a loopback address, such as http://127.0.0.1:7788"
                ),
            )
        })?;
        let file = set("DEVICED_TOKEN_FILE").ok_or_else(|| {
            Failure::new(
                Exit::Usage,
                "--url needs the token: set DEVICED_TOKEN_FILE to the file that deviced keeps it in",
            )
        })?;
        Ok(Self::Loopback(address, token(&file)?))
    }

    /// As people know it.
    pub(super) fn spoken(&self) -> String {
        match self {
            Self::Socket(path) => path.display().to_string(),
            Self::Loopback(address, _) => format!("http://{address}"),
        }
    }
}

fn loopback(url: &str) -> Option<SocketAddr> {
    let host = url.strip_prefix("http://")?.trim_end_matches('/');
    let address = match host.strip_prefix("localhost:") {
        Some(port) => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.parse().ok()?),
        None => host.parse().ok()?,
    };
    address.ip().is_loopback().then_some(address)
}

fn token(file: &PathBuf) -> Result<String> {
    let mut text = String::new();
    std::fs::File::open(file).and_then(|file| file.take(MAX_TOKEN).read_to_string(&mut text)).map_err(
        |error| match error.kind() {
            std::io::ErrorKind::PermissionDenied => {
                Failure { exit: Exit::Forbidden, ..Failure::file(file, &error) }
            }
            _ => Failure::file(file, &error),
        },
    )?;
    let token = text.trim();
    if !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(token.to_owned())
    } else {
        Err(Failure::new(
            Exit::File,
            format!("{}: there is no token in it; deviced writes one at its start", file.display()),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_counts_more_than_the_variable_and_that_more_than_the_default() {
        let find = |socket: Option<&str>, variable: &str| {
            let variable = OsString::from(variable);
            Address::find(socket.map(PathBuf::from), None, |name| {
                (name == "DEVICED_SOCKET").then(|| variable.clone())
            })
            .unwrap()
        };
        assert_eq!(find(Some("/a"), "/b"), Address::Socket("/a".into()));
        assert_eq!(find(None, "/b"), Address::Socket("/b".into()));
        assert_eq!(find(None, ""), Address::Socket(SOCKET.into()));
    }

    #[test]
    fn only_loopback_is_asked_over_plain_http() {
        for (url, address) in [
            ("http://127.0.0.1:7788", "127.0.0.1:7788"),
            ("http://127.0.0.1:7788/", "127.0.0.1:7788"),
            ("http://localhost:80", "127.0.0.1:80"),
            ("http://[::1]:7788", "[::1]:7788"),
        ] {
            assert_eq!(loopback(url), Some(address.parse().unwrap()), "{url}");
        }
        for url in ["https://127.0.0.1:7788", "http://device:7788", "http://10.0.0.1:7788", "127.0.0.1:7788"]
        {
            assert_eq!(loopback(url), None, "{url}");
            let failure = Address::find(None, Some(url), |_| None).unwrap_err();
            assert!(failure.exit == Exit::Usage && failure.message.contains(url), "{failure:?}");
        }
    }

    #[test]
    fn the_token_is_read_from_its_file_and_never_shown() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        let find = || {
            Address::find(None, Some("http://127.0.0.1:1"), |name| {
                (name == "DEVICED_TOKEN_FILE").then(|| file.clone().into_os_string())
            })
        };
        assert_eq!(find().unwrap_err().exit, Exit::File);
        for (text, found) in [("geheim\n", Some("geheim")), ("\n", None), ("zwei worte", None)] {
            let mut out = std::fs::File::create(&file).unwrap();
            std::io::Write::write_all(&mut out, text.as_bytes()).unwrap();
            match (find(), found) {
                (Ok(Address::Loopback(_, token)), Some(found)) => assert_eq!(token, found),
                (Err(failure), None) => assert!(!failure.message.contains("worte")),
                other => panic!("{other:?}"),
            }
        }
        assert!(
            !format!("{:?}", Address::Loopback("127.0.0.1:1".parse().unwrap(), "geheim".into()))
                .contains("geheim")
        );
        let failure = Address::find(None, Some("http://127.0.0.1:1"), |_| None).unwrap_err();
        assert!(failure.exit == Exit::Usage && failure.message.contains("DEVICED_TOKEN_FILE"));
    }
}
