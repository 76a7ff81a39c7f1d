//! One question to the supervisor, one answer: a JSON line each over a Unix stream socket.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use super::Error;
use crate::control::{CONTROL_VARIABLE, LINE_BYTES, Reply, Request};

/// How long a question may take that the supervisor answers out of its head or with a few writes to the disk.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause before the next attempt to connect while the socket's queue is full.
const QUEUE_PAUSE: Duration = Duration::from_millis(20);

/// A client of one supervisor. Each question opens its own connection, so a client is never in a broken state.
#[derive(Debug, Clone)]
pub struct Client {
    address: String,
}

impl Client {
    /// The client of the supervisor at `address`: `@name` for an abstract socket, else a path.
    pub fn new(address: impl Into<String>) -> Self {
        Self { address: address.into() }
    }

    /// The client of the supervisor that started this program; `None` when there is none.
    pub fn from_environment() -> Option<Self> {
        std::env::var(CONTROL_VARIABLE).ok().filter(|address| !address.is_empty()).map(Self::new)
    }

    /// The address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Asks, and waits for the answer: at most a minute, or as long as a pull takes for [`Request::Check`].
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Conversation`], [`Error::Unexpected`]. A refusal is an answer, no error.
    pub async fn ask(&self, request: &Request) -> Result<Reply, Error> {
        if matches!(request, Request::Check { .. }) {
            return self.converse(request).await;
        }
        tokio::time::timeout(PATIENCE, self.converse(request))
            .await
            .unwrap_or_else(|_| Err(self.broken(request, io::ErrorKind::TimedOut.into())))
    }

    async fn converse(&self, request: &Request) -> Result<Reply, Error> {
        let mut stream = tokio::time::timeout(PATIENCE, self.connect())
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|source| Error::Connect { address: self.address.clone(), source })?;
        let line = exchange(&mut stream, request).await.map_err(|source| self.broken(request, source))?;
        serde_json::from_slice(&line).map_err(|_| Error::Unexpected {
            found: String::from_utf8_lossy(&line).chars().take(200).collect(),
        })
    }

    async fn connect(&self) -> io::Result<UnixStream> {
        // tokio takes a leading zero byte for the abstract name space.
        let path = match self.address.strip_prefix('@') {
            Some(name) => format!("\0{name}"),
            None => self.address.clone(),
        };
        loop {
            match UnixStream::connect(&path).await {
                // unix(7): a full queue answers EAGAIN to a socket that does not block.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::time::sleep(QUEUE_PAUSE).await
                }
                result => return result,
            }
        }
    }

    fn broken(&self, request: &Request, source: io::Error) -> Error {
        let request = match request {
            Request::Ready { .. } => "ready",
            Request::Extend { .. } => "extend",
            Request::Check { .. } => "check",
            Request::Status => "status",
            Request::Rollback => "rollback",
            Request::Forget { .. } => "forget",
        };
        Error::Conversation { address: self.address.clone(), request, source }
    }
}

/// Writes the question's line, and reads the answer's.
async fn exchange(stream: &mut UnixStream, request: &Request) -> io::Result<Vec<u8>> {
    let mut question = serde_json::to_vec(request)?;
    question.push(b'\n');
    stream.write_all(&question).await?;
    let mut answer = Vec::new();
    BufReader::new(stream.take(LINE_BYTES as u64)).read_until(b'\n', &mut answer).await?;
    if answer.pop() == Some(b'\n') {
        Ok(answer)
    } else {
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended before the answer did"))
    }
}
