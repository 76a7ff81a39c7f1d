//! Who we are to a registry: anonymous, basic, bearer, identity token.
//!
//! For each repository at each host there is one grant, which is asked for once however many requests wait for it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, Url};
use tokio::sync::OnceCell;

use super::answer::{self, Asked};
use super::challenge::{self, Challenge};
use super::credentials::{self, Credential, Found};
use super::endpoint::{Endpoint, address, credential_keys, is_loopback};
use super::error::{Error, printable};
use super::token::{self, Token};
use super::transport::{Request, Transport, host_of};
use crate::clock::{self, Instant};
use crate::config::RegistrySettings;
use crate::limits::Limits;

/// How we are called at a token service (OAuth 2, `client_id`).
const CLIENT_ID: &str = "dockerloader";

/// Credentials and grants, for as long as a client lives.
pub(super) struct Authenticator {
    docker_config: Option<PathBuf>,
    limits: Limits,
    /// By host.
    credentials: Mutex<HashMap<String, Arc<OnceCell<Found>>>>,
    /// By host and repository.
    grants: Mutex<HashMap<(String, String), SharedGrant>>,
}

/// Whoever holds the lock asks for the grant; the others wait for the answer.
type SharedGrant = Arc<tokio::sync::Mutex<Grant>>;

/// What one repository asks for, and what we have for it.
#[derive(Default)]
struct Grant {
    challenge: Option<Challenge>,
    header: Option<HeaderValue>,
    /// `None`: until it is refused.
    until: Option<Instant>,
}

impl Grant {
    fn is_good(&self) -> bool {
        self.header.is_some() && self.until.is_none_or(|until| clock::now() < until)
    }
}

impl Authenticator {
    pub(super) fn new(settings: &RegistrySettings, limits: Limits) -> Self {
        let given = settings.logins.iter().map(|(host, login)| {
            let cell = OnceCell::new_with(Some(Found::given(login)));
            (address(host).to_owned(), Arc::new(cell))
        });
        Self {
            docker_config: settings.docker_config.clone(),
            limits,
            credentials: Mutex::new(given.collect()),
            grants: Mutex::default(),
        }
    }

    /// The header for a request, as far as it is known what the registry wants: a token that has run out is renewed here,
    /// before the registry refuses it.
    pub(super) async fn current(
        &self,
        transport: &Transport,
        endpoint: &Endpoint,
        registry: &Url,
    ) -> Result<Option<HeaderValue>, Error> {
        let grant = self.grant(endpoint);
        let mut grant = grant.lock().await;
        if !grant.is_good() {
            self.fill(&mut grant, transport, endpoint, registry).await?;
        }
        Ok(grant.header.clone())
    }

    /// The header for another try, after a 401 to a request with `refused`; `None` when there is nothing else to show.
    pub(super) async fn renew(
        &self,
        transport: &Transport,
        endpoint: &Endpoint,
        registry: &Url,
        headers: &HeaderMap,
        refused: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, Error> {
        let grant = self.grant(endpoint);
        let mut grant = grant.lock().await;
        let is_other = grant.header.as_ref() != refused;
        // While this request waited, another one may have got a new token.
        if !(grant.is_good() && is_other) {
            let asked = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
            if let Some(challenge) = challenge::choose(asked) {
                grant.challenge = Some(challenge);
            }
            self.fill(&mut grant, transport, endpoint, registry).await?;
        }
        Ok(grant.header.clone().filter(|header| Some(header) != refused))
    }

    /// Which credentials a host is shown, or why none: for errors.
    pub(super) async fn describe(&self, transport: &Transport, host: &str) -> String {
        self.find(transport, host).await.origin
    }

    /// Which credentials a host is shown.
    pub(super) async fn shown(&self, transport: &Transport, host: &str) -> Credential {
        self.find(transport, host).await.credential
    }

    async fn fill(
        &self,
        grant: &mut Grant,
        transport: &Transport,
        endpoint: &Endpoint,
        registry: &Url,
    ) -> Result<(), Error> {
        grant.header = None;
        let Some(challenge) = &grant.challenge else { return Ok(()) };
        let found = self.find(transport, &endpoint.host).await;
        match (challenge, &found.credential) {
            (Challenge::Basic, Credential::Basic(user, password)) => {
                (grant.header, grant.until) = (Some(basic(user, password)), None);
            }
            (Challenge::Basic, _) => {}
            (Challenge::Bearer { realm, service, scope }, credential) => {
                let refuse = |problem| Error::Realm {
                    host: endpoint.host.clone(),
                    realm: printable(realm.split('?').next().unwrap_or_default()),
                    problem,
                };
                let realm = check_realm(realm, registry).map_err(refuse)?;
                let scope = scope_for(scope.as_deref(), &endpoint.repository);
                let request = token_request(realm, service.as_deref(), &scope, credential);
                let asked_at = clock::now();
                let token = self.fetch(transport, endpoint, request, found.origin).await?;
                let header = secret(&format!("Bearer {}", token.value));
                (grant.header, grant.until) = (header, Some(asked_at + token.lifetime));
            }
        }
        Ok(())
    }

    async fn fetch(
        &self,
        transport: &Transport,
        endpoint: &Endpoint,
        request: Request,
        credentials: String,
    ) -> Result<Token, Error> {
        let service = host_of(&request.url);
        let response = transport.send(request).await?;
        if !response.status().is_success() {
            let what = format!("the request for a token for {}", endpoint.repository);
            let asked = Asked { host: &service, repository: &endpoint.repository, what: &what, credentials };
            return Err(answer::refusal(transport, response, self.limits.error_bytes, asked).await);
        }
        let bytes = answer::read(transport, response, self.limits.token_bytes, "a token").await?;
        token::parse(&bytes).map_err(|problem| Error::Malformed {
            host: service,
            what: "the answer of the token service",
            problem: problem.to_owned(),
        })
    }

    async fn find(&self, transport: &Transport, host: &str) -> Found {
        let cell = {
            let mut all = self.credentials.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(host.to_owned()).or_default())
        };
        let look_up = || {
            credentials::look_up(
                self.docker_config.clone(),
                credential_keys(host),
                transport.deadlines.helper,
            )
        };
        cell.get_or_init(look_up).await.clone()
    }

    fn grant(&self, endpoint: &Endpoint) -> SharedGrant {
        let mut all = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry((endpoint.host.clone(), endpoint.repository.clone())).or_default())
    }
}

/// Where a token may be asked for. Credentials and tokens travel there, so it is HTTPS; or the registry's own host where
/// that speaks plain HTTP, or both are this machine (CVE-2020-15157).
fn check_realm(realm: &str, registry: &Url) -> Result<Url, &'static str> {
    let url = Url::parse(realm).map_err(|_| "it is no address")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("there is a user name in it");
    }
    let is_near = url.host_str() == registry.host_str()
        || (is_loopback(&host_of(&url)) && is_loopback(&host_of(registry)));
    match url.scheme() {
        "https" => Ok(url),
        "http" if registry.scheme() == "http" && is_near => Ok(url),
        "http" => Err("it is plain HTTP, where credentials could be read on the way"),
        _ => Err("it is neither HTTPS nor HTTP"),
    }
}

/// The scope of a token: what the registry asks for when that is to pull, else to pull the repository. No token of ours
/// is ever good for a push.
fn scope_for(asked: Option<&str>, repository: &str) -> String {
    asked
        .filter(|scope| {
            scope.starts_with("repository:") && scope.ends_with(":pull") && !scope.contains([' ', ','])
        })
        .map_or_else(|| format!("repository:{repository}:pull"), str::to_owned)
}

fn token_request(mut realm: Url, service: Option<&str>, scope: &str, credential: &Credential) -> Request {
    let mut fields = vec![("scope", scope)];
    fields.extend(service.map(|service| ("service", service)));
    if let Credential::Identity(token) = credential {
        fields.extend([("grant_type", "refresh_token"), ("client_id", CLIENT_ID), ("refresh_token", token)]);
        let mut request = Request::new(Method::POST, realm.clone());
        // The query of an address is a form.
        realm.query_pairs_mut().clear().extend_pairs(fields);
        request.body = realm.query().map(str::to_owned);
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers.insert(CONTENT_TYPE, form);
        return request;
    }
    realm.query_pairs_mut().extend_pairs(fields);
    let mut request = Request::new(Method::GET, realm);
    if let Credential::Basic(user, password) = credential {
        request.url.query_pairs_mut().append_pair("account", user);
        request.authorization = Some(basic(user, password));
    }
    request
}

fn basic(user: &str, password: &str) -> HeaderValue {
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    // Base64 has no character that a header can't hold.
    secret(&format!("Basic {encoded}")).unwrap_or_else(|| HeaderValue::from_static(""))
}

fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_asked_for_over_https_or_at_the_plain_registry_itself() {
        for (realm, registry, is_fine) in [
            ("https://auth.docker.io/token", "https://registry-1.docker.io/", true),
            ("https://auth.example/token", "http://localhost:5000/", true),
            ("http://auth.example/token", "https://r.example/", false),
            ("http://r.example/token", "https://r.example/", false),
            ("http://auth.example/token", "http://localhost:5000/", false),
            ("http://r.example:5001/token", "http://r.example:5000/", true),
            ("http://127.0.0.1:5001/token", "http://localhost:5000/", true),
            ("http://127.0.0.1:5001/token", "https://r.example/", false),
            ("https://user@auth.example/token", "https://r.example/", false),
            ("file:///etc/passwd", "https://r.example/", false),
            ("/token", "https://r.example/", false),
            ("", "https://r.example/", false),
        ] {
            let registry = Url::parse(registry).unwrap();
            assert_eq!(check_realm(realm, &registry).is_ok(), is_fine, "{realm} for {registry}");
        }
    }

    #[test]
    fn a_token_is_for_pulling_only() {
        for (asked, expected) in [
            (None, "repository:a/b:pull"),
            (Some("repository:x/a/b:pull"), "repository:x/a/b:pull"),
            (Some("repository:a/b:pull,push"), "repository:a/b:pull"),
            (Some("repository:a/b:push repository:c:pull"), "repository:a/b:pull"),
            (Some("registry:catalog:*"), "repository:a/b:pull"),
        ] {
            assert_eq!(scope_for(asked, "a/b"), expected);
        }
    }

    #[test]
    fn an_identity_token_travels_in_the_body_and_a_password_in_the_header() {
        let realm = Url::parse("https://auth.example/token?x=1").unwrap();
        let identity = Credential::Identity("s&cret".into());
        let request = token_request(realm.clone(), Some("a b"), "repository:a:pull", &identity);
        assert_eq!((request.method, request.url.as_str()), (Method::POST, realm.as_str()));
        let body = request.body.unwrap();
        for part in [
            "grant_type=refresh_token",
            "refresh_token=s%26cret",
            "service=a+b",
            "scope=repository%3Aa%3Apull",
        ] {
            assert!(body.contains(part), "{body}");
        }
        assert!(!body.contains("x=1"), "{body}");
        let basic = Credential::Basic("u".into(), "pw".into());
        let request = token_request(realm, None, "repository:a:pull", &basic);
        assert_eq!(
            request.url.as_str(),
            "https://auth.example/token?x=1&scope=repository%3Aa%3Apull&account=u"
        );
        assert_eq!(request.authorization.as_ref().unwrap(), "Basic dTpwdw==");
        assert_eq!(format!("{:?}", request.authorization.unwrap()), "Sensitive");
    }
}
