//! Where the API is found: a Unix socket for administrators of the device, the loopback for whoever has the token.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use dockerloader::disk::{Disk as _, RealDisk};
use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::token::Token;

/// Who may use the socket: its owner and its group.
const MODE: u32 = 0o660;

/// Open sockets.
#[derive(Debug, Default)]
pub struct Listeners {
    pub(super) unix: Option<Socket>,
    pub(super) tcp: Option<(TcpListener, Token)>,
}

/// A Unix socket; its file goes with it.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

/// Why the API can't be reached.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another process listens there.
    #[error("somebody listens on {} already; is another deviced running?", .path.display())]
    Taken {
        /// The socket.
        path: PathBuf,
    },
    /// Something else is in the socket's place.
    #[error("{} is there and is no socket; remove it, or name another path", .path.display())]
    NoSocket {
        /// The path.
        path: PathBuf,
    },
    /// The socket's file can't be made.
    #[error("the socket {}: {source}", .path.display())]
    Socket {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The address can't be listened on.
    #[error("the address {address}: {source}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The address can be reached from elsewhere.
    #[error(
        "{address} can be reached from outside this device, and what is sent there is not encrypted; listen on 127.0.0.1 or [::1], and put a \
         TLS proxy before it for others"
    )]
    Outside {
        /// The address.
        address: SocketAddr,
    },
}

impl Listeners {
    /// Nobody can ask yet.
    pub fn none() -> Self {
        Self::default()
    }

    /// Listens on a Unix socket too. The file of one that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// [`ListenError`].
    pub async fn with_socket(mut self, path: &Path) -> Result<Self, ListenError> {
        self.unix = Some(Socket::bind(path).await?);
        Ok(self)
    }

    /// Listens on an address of the loopback too.
    ///
    /// # Errors
    /// [`ListenError`].
    pub async fn with_address(mut self, address: SocketAddr, token: Token) -> Result<Self, ListenError> {
        if !address.ip().is_loopback() {
            return Err(ListenError::Outside { address });
        }
        let listener =
            TcpListener::bind(address).await.map_err(|source| ListenError::Address { address, source })?;
        self.tcp = Some((listener, token));
        Ok(self)
    }

    /// The address that it listens on: with the port that was chosen where none was named.
    pub fn address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref().and_then(|(listener, _)| listener.local_addr().ok())
    }
}

impl Socket {
    async fn bind(path: &Path) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Socket { path: path.to_owned(), source };
        if let Some(directory) = path.parent() {
            RealDisk.create_directories(directory).map_err(failed)?;
        }
        match std::fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(ListenError::NoSocket { path: path.to_owned() });
            }
            Ok(_) if UnixStream::connect(path).await.is_ok() => {
                return Err(ListenError::Taken { path: path.to_owned() });
            }
            _ => {}
        }
        // Under its own name it has its mode from the first moment on, and a stale one is replaced in one step.
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(format!(".{}", std::process::id()));
        let temporary = PathBuf::from(temporary);
        RealDisk.remove_file(&temporary).map_err(failed)?;
        let listener = UnixListener::bind(&temporary).map_err(failed)?;
        let placed = std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(MODE))
            .and_then(|()| RealDisk.rename(&temporary, path))
            .and_then(|()| std::fs::symlink_metadata(path));
        match placed {
            Ok(found) => Ok(Self { listener, path: path.to_owned(), inode: found.ino() }),
            Err(source) => {
                // The first error is the one to report.
                let _ = RealDisk.remove_file(&temporary);
                Err(failed(source))
            }
        }
    }
}

impl Drop for Socket {
    /// Removes its file, unless another one has taken its place.
    fn drop(&mut self) {
        if std::fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            // One that stays is replaced at the next start.
            let _ = RealDisk.remove_file(&self.path);
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "these tests make files")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_one_that_somebody_listens_on_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/deviced.sock");
        let first = Listeners::none().with_socket(&path).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        let error = Listeners::none().with_socket(&path).await.unwrap_err();
        assert!(matches!(error, ListenError::Taken { .. }), "{error}");
        assert!(UnixStream::connect(&path).await.is_ok(), "the first one is still there");
        // As after kill -9: the file stays.
        drop(std::os::unix::net::UnixListener::bind(directory.path().join("stale")).unwrap());
        let stale = Listeners::none().with_socket(&directory.path().join("stale")).await.unwrap();
        assert!(UnixStream::connect(directory.path().join("stale")).await.is_ok());
        drop((first, stale));
        assert!(!path.exists());
        let left: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mine");
        std::fs::write(&path, "mine").unwrap();
        let error = Listeners::none().with_socket(&path).await.unwrap_err();
        assert!(matches!(error, ListenError::NoSocket { .. }), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    }

    #[tokio::test]
    async fn only_the_loopback_is_listened_on() {
        let token = || Token::new("0123456789abcdef");
        for outside in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
            let error = Listeners::none().with_address(outside.parse().unwrap(), token()).await.unwrap_err();
            assert!(matches!(error, ListenError::Outside { .. }), "{error}");
        }
        let inside = Listeners::none().with_address("127.0.0.1:0".parse().unwrap(), token()).await.unwrap();
        assert_ne!(inside.address().unwrap().port(), 0);
    }
}
