//! A registry that answers by a script and notes what it was asked: plain HTTP or TLS, one request a connection.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) method: String,
    /// With the query.
    pub(super) path: String,
    headers: BTreeMap<String, String>,
    pub(super) body: String,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(super) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// What is answered.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    ending: Ending,
}

#[derive(Debug, Clone, Copy, Default)]
enum Ending {
    /// With its length in the header.
    #[default]
    Whole,
    /// The header says more than there is, and the connection ends.
    Short(usize),
    /// The header says more than there is, and the connection stays open.
    Hanging(usize),
    /// In chunks, the body over and over again.
    Endless,
    /// In chunks, ended properly.
    Chunked,
}

impl Answer {
    pub(super) fn new(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self { status, body: body.as_ref().to_owned(), ..Self::default() }
    }

    pub(super) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub(super) fn short_of(mut self, length: usize) -> Self {
        self.ending = Ending::Short(length);
        self
    }

    pub(super) fn hanging(mut self, length: usize) -> Self {
        self.ending = Ending::Hanging(length);
        self
    }

    pub(super) fn endless(mut self) -> Self {
        self.ending = Ending::Endless;
        self
    }

    pub(super) fn chunked(mut self) -> Self {
        self.ending = Ending::Chunked;
        self
    }

    async fn write(self, to: &mut (impl AsyncWrite + Unpin), is_head: bool) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let has_length = self.headers.iter().any(|(name, _)| name == "content-length");
        match self.ending {
            _ if has_length => {}
            Ending::Whole => head.push_str(&format!("content-length: {}\r\n", self.body.len())),
            Ending::Short(length) | Ending::Hanging(length) => {
                head.push_str(&format!("content-length: {length}\r\n"));
            }
            Ending::Endless | Ending::Chunked => head.push_str("transfer-encoding: chunked\r\n"),
        }
        to.write_all(format!("{head}\r\n").as_bytes()).await?;
        if is_head {
            return to.shutdown().await;
        }
        let chunk = [format!("{:x}\r\n", self.body.len()).as_bytes(), &self.body, b"\r\n"].concat();
        match self.ending {
            Ending::Endless => loop {
                to.write_all(&chunk).await?;
            },
            Ending::Chunked => to.write_all(&[&chunk[..], b"0\r\n\r\n"].concat()).await?,
            _ => to.write_all(&self.body).await?,
        }
        to.flush().await?;
        if matches!(self.ending, Ending::Hanging(_)) {
            std::future::pending::<()>().await;
        }
        to.shutdown().await
    }
}

type Script = dyn FnMut(&Asked) -> Answer + Send;

/// A running server; it ends with the runtime.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub(super) async fn start(script: impl FnMut(&Asked) -> Answer + Send + 'static) -> Self {
        Self::start_with(None, Box::new(script)).await
    }

    /// With TLS; also the certificate in PEM form.
    pub(super) async fn start_tls(script: impl FnMut(&Asked) -> Answer + Send + 'static) -> (Self, String) {
        let made =
            rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let server = Self::start_with(Some(Arc::new(config).into()), Box::new(script)).await;
        (server, made.cert.pem())
    }

    async fn start_with(tls: Option<TlsAcceptor>, script: Box<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { address: listener.local_addr().unwrap(), asked: Arc::default() };
        let script = Arc::new(Mutex::new(script));
        let asked = Arc::clone(&server.asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, asked, script) = (tls.clone(), Arc::clone(&asked), Arc::clone(&script));
                // A client that goes away in the middle is part of many tests.
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => serve(tls.accept(stream).await?, &asked, &script).await,
                        None => serve(stream, &asked, &script).await,
                    }
                });
            }
        });
        server
    }

    pub(super) fn host(&self) -> String {
        self.address.to_string()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(Asked::line).collect()
    }

    /// A request by the beginning of its line, the last one if there are several.
    pub(super) fn last(&self, line: &str) -> Asked {
        let asked = self.asked.lock().unwrap();
        asked.iter().rev().find(|asked| asked.line().starts_with(line)).cloned().unwrap_or_else(|| {
            panic!("no {line} among {:?}", asked.iter().map(Asked::line).collect::<Vec<_>>())
        })
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    asked: &Mutex<Vec<Asked>>,
    script: &Mutex<Box<Script>>,
) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break String::from_utf8_lossy(&bytes[..end]).into_owned();
        }
        // A TLS handshake, to which servers of plain HTTP answer in their own language.
        if bytes.first() == Some(&0x16) {
            return stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").await;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    };
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let headers: BTreeMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    while bytes.len() < head.len() + 4 + length {
        stream.read_buf(&mut bytes).await?;
    }
    let request = Asked {
        method: words.next().unwrap(),
        path: words.next().unwrap(),
        headers,
        body: String::from_utf8_lossy(&bytes[head.len() + 4..]).into_owned(),
    };
    asked.lock().unwrap().push(request.clone());
    let answer = script.lock().unwrap()(&request);
    answer.write(&mut stream, request.method == "HEAD").await
}
