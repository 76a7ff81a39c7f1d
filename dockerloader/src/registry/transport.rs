//! HTTP and TLS: one request, its redirects, and what its failure means.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{ClientBuilder, Method, Response, Url};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::answer::is_of;
use super::endpoint::{address, is_loopback};
use super::error::{Error, printable};
use super::roots::Roots;
use crate::config::RegistrySettings;

/// How long each phase may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    /// Connecting, with the TLS handshake.
    pub(super) connect: Duration,
    /// From the request to the answer's headers.
    pub(super) answer: Duration,
    /// Between two pieces of a body.
    pub(super) stall: Duration,
    /// How long a body may bring next to nothing.
    pub(super) slow: Duration,
    /// A whole small body: a manifest, a token, an error.
    pub(super) small_body: Duration,
    /// A credential helper.
    pub(super) helper: Duration,
}

impl Deadlines {
    /// What follows from how long a registry may be silent (`DOCKERLOADER_REGISTRY_TIMEOUT_MS`).
    pub(super) fn of(timeout: Duration) -> Self {
        Self {
            connect: timeout / 3,
            answer: timeout,
            stall: timeout,
            slow: timeout * 2,
            small_body: timeout * 2,
            helper: Duration::from_secs(30),
        }
    }
}

/// Redirects that are followed for one request.
const REDIRECTS: usize = 5;

/// What was waited for when the connection itself took too long.
pub(super) const NO_CONNECTION: &str = "no connection";

const USER_AGENT: &str = concat!("dockerloader/", env!("CARGO_PKG_VERSION"));

/// A request. Its credentials stand apart, since a redirect may not take them along.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) authorization: Option<HeaderValue>,
    pub(super) body: Option<String>,
}

impl Request {
    pub(super) fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: HeaderMap::new(), authorization: None, body: None }
    }
}

/// The connections.
pub(super) struct Transport {
    /// For this machine itself: no proxy could reach it.
    direct: reqwest::Client,
    /// For all others: `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` apply.
    proxied: reqwest::Client,
    roots: Arc<Roots>,
    /// What a host gets besides the headers of the protocol, by its address.
    extra: Vec<(String, HeaderMap)>,
    pub(super) deadlines: Deadlines,
}

impl Transport {
    pub(super) fn new(settings: &RegistrySettings, deadlines: Deadlines) -> Result<Self, Error> {
        let trusted = settings.ca_file.as_deref().map(certificates).transpose()?.unwrap_or_default();
        let extra = settings.headers.iter().map(|(host, headers)| headers_for(host, headers));
        let extra = extra.collect::<Result<_, _>>()?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = Arc::new(Roots::new(Arc::clone(&provider), trusted));
        let unusable = |error: rustls::Error| Error::Setup { problem: error.to_string() };
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&roots) as Arc<_>)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let build = |adjust: fn(ClientBuilder) -> ClientBuilder| {
            adjust(reqwest::Client::builder())
                .tls_backend_preconfigured(tls.clone())
                .user_agent(USER_AGENT)
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                .connect_timeout(deadlines.connect)
                .dns_resolver(Resolver)
                .build()
                .map_err(|error| Error::Setup { problem: describe(&error.without_url()) })
        };
        let (direct, proxied) = (build(ClientBuilder::no_proxy)?, build(|builder| builder)?);
        Ok(Self { direct, proxied, roots, extra, deadlines })
    }

    /// Sends a request and follows where it leads: never from HTTPS to HTTP, and with the credentials only as long as
    /// scheme, host and port stay the same.
    pub(super) async fn send(&self, mut request: Request) -> Result<Response, Error> {
        let origin = request.url.origin();
        let asked = host_of(&request.url);
        for _ in 0..=REDIRECTS {
            let response = self.send_once(&request).await?;
            let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
            if !is_redirect || request.body.is_some() {
                return Ok(response);
            }
            let refuse = |problem: String| Error::Redirect { host: asked.clone(), problem };
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let next = location
                .and_then(|location| request.url.join(location).ok())
                .ok_or_else(|| refuse("to nowhere: the answer has no usable Location".to_owned()))?;
            let whereto = host_of(&next);
            if !matches!(next.scheme(), "http" | "https") {
                return Err(refuse(format!(
                    "to a {} address, which is not followed",
                    printable(next.scheme())
                )));
            }
            if request.url.scheme() == "https" && next.scheme() == "http" {
                return Err(refuse(format!("from HTTPS to plain HTTP at {whereto}, which is not followed")));
            }
            if !next.username().is_empty() || next.password().is_some() {
                return Err(refuse(format!(
                    "to {whereto} with a user name in the address, which is not followed"
                )));
            }
            if next.origin() != origin {
                // For good: a way back to the registry must not make them reappear.
                request.authorization = None;
            }
            request.url = next;
        }
        Err(Error::Redirect { host: asked, problem: format!("more than {REDIRECTS} times") })
    }

    async fn send_once(&self, request: &Request) -> Result<Response, Error> {
        let host = host_of(&request.url);
        let client = if is_loopback(&host) { &self.direct } else { &self.proxied };
        let mut builder = client.request(request.method.clone(), request.url.clone());
        for (_, headers) in self.extra.iter().filter(|(host, _)| is_of(&request.url, host)) {
            builder = builder.headers(headers.clone());
        }
        // After those, so that none of them can take the place of one of the protocol.
        builder = builder.headers(request.headers.clone());
        if let Some(authorization) = &request.authorization {
            builder = builder.header(AUTHORIZATION, authorization.clone());
        }
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        let after = self.deadlines.answer;
        match tokio::time::timeout(after, builder.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(self.explain(&error.without_url(), host)),
            Err(_) => Err(Error::Timeout { host, what: "no answer", after }),
        }
    }

    /// What the failure of a request, or of a body, means.
    pub(super) fn explain(&self, error: &reqwest::Error, host: String) -> Error {
        for cause in Causes(Some(error)) {
            if let Some(unknown) = cause.downcast_ref::<UnknownHost>() {
                return Error::UnknownHost { host, problem: printable(&unknown.0) };
            }
            if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
                return self.explain_tls(tls, host);
            }
            if let Some(io) = cause.downcast_ref::<std::io::Error>()
                && io.kind() == std::io::ErrorKind::ConnectionRefused
            {
                return Error::Refused { host };
            }
        }
        if error.is_timeout() {
            return Error::Timeout { host, what: NO_CONNECTION, after: self.deadlines.connect };
        }
        let problem = describe(error);
        if error.is_connect() {
            Error::NoConnection { host, problem }
        } else {
            Error::Broken { host, problem }
        }
    }

    fn explain_tls(&self, error: &rustls::Error, host: String) -> Error {
        use rustls::CertificateError as Bad;
        let problem = printable(&error.to_string());
        let bad = match error {
            rustls::Error::InvalidCertificate(bad) => bad,
            rustls::Error::InvalidMessage(_) => return Error::NoTls { host, problem },
            _ => return Error::Handshake { host, problem },
        };
        let advice = match bad {
            Bad::Expired | Bad::ExpiredContext { .. } | Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                "check the clocks of this machine and of the registry, or renew the certificate"
            }
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
                "use the name that the certificate has, or have one issued for this name"
            }
            _ if !self.roots.is_any() => {
                "this system has no root certificates: install a bundle, or set DOCKERLOADER_CA_FILE"
            }
            _ => "if its authority is a private one, set DOCKERLOADER_CA_FILE to the authority's certificate",
        };
        Error::Certificate { host, problem, advice }
    }
}

/// The headers for a host, with its address.
fn headers_for(host: &str, headers: &BTreeMap<String, String>) -> Result<(String, HeaderMap), Error> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let refuse = |problem| Error::Header { host: host.to_owned(), name: name.clone(), problem };
        let header = HeaderName::try_from(name).map_err(|_| refuse("it is no name of a header"))?;
        if header == AUTHORIZATION {
            return Err(refuse("who asks is said by credentials"));
        }
        map.insert(header, HeaderValue::try_from(value).map_err(|_| refuse("no header can hold its value"))?);
    }
    Ok((address(host).to_owned(), map))
}

/// `host[:port]` of an address.
pub(super) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The certificates in a PEM file, each one that a root can be.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let refuse = |problem: String| Error::CaFile { path: path.to_owned(), problem };
    let bytes = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    let mut store = RootCertStore::empty();
    let mut certificates = Vec::new();
    for der in CertificateDer::pem_slice_iter(&bytes) {
        let der = der.map_err(|error| refuse(error.to_string()))?;
        store.add(der.clone()).map_err(|error| refuse(error.to_string()))?;
        certificates.push(der);
    }
    if certificates.is_empty() {
        return Err(refuse("there is no certificate in it".to_owned()));
    }
    Ok(certificates)
}

/// An error with its causes, in one line.
fn describe(error: &reqwest::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in Causes(Some(error)) {
        let text = cause.to_string();
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
    }
    printable(&parts.join(": "))
}

/// An error and its causes, with what an `io::Error` wraps: its own `source()` steps over it.
struct Causes<'e>(Option<&'e (dyn StdError + 'static)>);

impl<'e> Iterator for Causes<'e> {
    type Item = &'e (dyn StdError + 'static);

    fn next(&mut self) -> Option<Self::Item> {
        let current = self.0.take()?;
        self.0 = match current.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => current.source(),
        };
        Some(current)
    }
}

/// The system's resolver, with an error that can be told from others by its type.
struct Resolver;

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct UnknownHost(String);

impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let addresses: Vec<_> = found.map_err(|error| UnknownHost(error.to_string()))?.collect();
            let addresses: reqwest::dns::Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}
