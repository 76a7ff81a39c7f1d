//! The supervisor's two sockets: the control socket with its connections, and the one for `sd_notify(3)`. Both are abstract, so
//! they need no writable directory and vanish with the process.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::machine::{Millis, Token};
use crate::control::{LINE_BYTES, Reply, Request};

/// Connections at a time; the oldest idle one makes room.
const CONNECTIONS: usize = 32;
/// Largest notification that is read, in bytes.
const DATAGRAM_BYTES: usize = 8192;

/// A connection to the control socket.
#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// A request of it is being worked on.
    waiting: bool,
    /// Root or our own user is at the other end.
    trusted: bool,
    since: Millis,
}

/// A request, and from whom.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) token: Token,
    pub(super) request: Request,
    /// Root or our own user asks; anybody else has to name the generation.
    pub(super) trusted: bool,
}

/// The sockets.
#[derive(Debug)]
pub(super) struct Server {
    listener: UnixListener,
    datagrams: UnixDatagram,
    name: String,
    connections: BTreeMap<Token, Connection>,
    next: Token,
}

impl Server {
    /// Binds both sockets under a name that nobody can guess or hold.
    ///
    /// # Errors
    /// Those of `socket(2)` and `bind(2)`.
    pub(super) fn bind(nonce: &str) -> io::Result<Self> {
        let name = format!("dockerloader-{nonce}");
        let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        listener.set_nonblocking(true)?;
        let datagrams = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(format!("{name}-notify"))?)?;
        datagrams.set_nonblocking(true)?;
        Ok(Self { listener, datagrams, name, connections: BTreeMap::new(), next: 1 })
    }

    /// The control socket's address, as it stands in the environment.
    pub(super) fn control_address(&self) -> String {
        format!("@{}", self.name)
    }

    /// The notification socket's address.
    pub(super) fn notify_address(&self) -> String {
        format!("@{}-notify", self.name)
    }

    /// What to poll: the listener, the datagram socket, then each connection, and whether it also has something to write.
    pub(super) fn interests(&self) -> Vec<(BorrowedFd<'_>, bool)> {
        let fixed = [(self.listener.as_fd(), false), (self.datagrams.as_fd(), false)];
        fixed
            .into_iter()
            .chain(self.connections.values().map(|c| (c.stream.as_fd(), !c.output.is_empty())))
            .collect()
    }

    /// Notifications that have arrived.
    pub(super) fn notices(&self) -> Vec<super::notify::Notice> {
        let mut notices = Vec::new();
        let mut buffer = [0; DATAGRAM_BYTES];
        // Bounded, so that a flood can't keep the supervisor from its signals.
        for _ in 0..64 {
            match self.datagrams.recv(&mut buffer) {
                Ok(count) => notices.extend(super::notify::parse(buffer.get(..count).unwrap_or_default())),
                Err(_) => break,
            }
        }
        notices
    }

    /// Throws away what an older run sent and nobody has read: its tree is gone, so nothing new can come from it.
    pub(super) fn forget_notices(&self) {
        let mut buffer = [0; 1];
        while self.datagrams.recv(&mut buffer).is_ok() {}
    }

    /// Accepts, reads and writes what can be without blocking, and returns the requests that are complete.
    pub(super) fn serve(&mut self, now: Millis) -> Vec<Asked> {
        while let Ok((stream, _)) = self.listener.accept() {
            self.accept(stream, now);
        }
        let mut requests = Vec::new();
        let mut gone = Vec::new();
        for (token, connection) in &mut self.connections {
            let open = connection.read() && connection.write();
            while let Some(line) = connection.line() {
                connection.waiting = true;
                match serde_json::from_slice::<Request>(&line) {
                    Ok(request) => {
                        requests.push(Asked { token: *token, request, trusted: connection.trusted })
                    }
                    Err(error) => {
                        connection.answer(&Reply::Refused { reason: format!("no request: {error}") })
                    }
                }
            }
            if !open || connection.input.len() > LINE_BYTES {
                gone.push(*token);
            }
        }
        for token in gone {
            self.connections.remove(&token);
        }
        requests
    }

    fn accept(&mut self, stream: UnixStream, now: Millis) {
        // An abstract socket has no file mode, and in a network shared with the host others could reach it. An application
        // that gave up its privileges is known by its secret, the generation.
        let own = nix::unistd::geteuid().as_raw();
        let peer = getsockopt(&stream, PeerCredentials).map(|credentials| credentials.uid());
        let trusted = peer.is_ok_and(|uid| uid == own || uid == 0);
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        if self.connections.len() >= CONNECTIONS {
            let idle = self.connections.iter().filter(|(_, c)| !c.waiting).min_by_key(|(_, c)| c.since);
            match idle.map(|(token, _)| *token) {
                Some(token) => drop(self.connections.remove(&token)),
                None => return,
            }
        }
        let connection =
            Connection { stream, input: Vec::new(), output: Vec::new(), waiting: false, trusted, since: now };
        self.connections.insert(self.next, connection);
        self.next = self.next.saturating_add(1);
    }

    /// Answers a request; the asker may have gone.
    pub(super) fn reply(&mut self, token: Token, reply: &Reply) {
        if let Some(connection) = self.connections.get_mut(&token) {
            connection.answer(reply);
            if !connection.write() {
                self.connections.remove(&token);
            }
        }
    }
}

impl Connection {
    /// Whether the other side is still there.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        while self.input.len() <= LINE_BYTES {
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(count) => self.input.extend_from_slice(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
        true
    }

    fn write(&mut self) -> bool {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(0) => return false,
                Ok(count) => drop(self.output.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
        true
    }

    /// The next whole line. One request at a time: the next is read when the last was answered.
    fn line(&mut self) -> Option<Vec<u8>> {
        if self.waiting {
            return None;
        }
        let end = self.input.iter().position(|byte| *byte == b'\n')?;
        Some(self.input.drain(..=end).collect())
    }

    fn answer(&mut self, reply: &Reply) {
        self.waiting = false;
        // A reply always has a JSON form.
        self.output.extend(serde_json::to_vec(reply).unwrap_or_default());
        self.output.push(b'\n');
    }
}
