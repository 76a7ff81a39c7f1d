//! Gives the bearer tokens of the third registry, as the distribution's token protocol has them: a client that was sent
//! away with `401` asks here, with its password, for a signed statement of what it may do, valid for a minute.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::certificates::{PASSWORD, TokenKey, USER};
use crate::failure::{Context as _, Result};

/// Named in the registry's configuration too.
pub(crate) const ISSUER: &str = "dockerloader test tokens";
pub(crate) const SERVICE: &str = "dockerloader test registry";
/// The least that the specification allows, so that a long conversation has to ask again.
const LIFETIME_SECONDS: u64 = 60;

/// A token server on a free loopback port; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct TokenServer {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

struct Signer {
    key: EcdsaKeyPair,
    certificate: Vec<u8>,
    random: SystemRandom,
}

impl TokenServer {
    pub(crate) fn start(key: TokenKey) -> Result<Self> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.pkcs8, &random)
            .context("read the key that signs tokens")?;
        let signer = Arc::new(Signer { key: pair, certificate: key.certificate, random });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .context("start the token server")?;
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .context("start the token server")?;
        let address = listener.local_addr().context("start the token server")?;
        let routes = axum::Router::new().route("/token", axum::routing::get(token)).with_state(signer);
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::spawn(move || {
            runtime.block_on(async move {
                tokio::select! {
                    // It ends by an error of the listener, which the clients then see.
                    _ = axum::serve(listener, routes) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { address, _stop: stop })
    }

    /// Where clients are sent to.
    pub(crate) fn realm(&self) -> String {
        format!("http://{}/token", self.address)
    }
}

async fn token(State(signer): State<Arc<Signer>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if !authorization.is_some_and(is_the_user) {
        let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"tokens\"")];
        return (StatusCode::UNAUTHORIZED, challenge, "the user or the password is wrong\n").into_response();
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let Some(token) = signer.sign(&claims(&query.unwrap_or_default(), now)) else {
        return (StatusCode::INTERNAL_SERVER_ERROR, "can't sign\n").into_response();
    };
    let answer = json!({ "token": token, "access_token": token, "expires_in": LIFETIME_SECONDS });
    ([(header::CONTENT_TYPE, "application/json")], answer.to_string()).into_response()
}

fn is_the_user(authorization: &str) -> bool {
    let credentials = authorization.strip_prefix("Basic ").and_then(|text| BASE64_STANDARD.decode(text).ok());
    credentials.is_some_and(|bytes| bytes == format!("{USER}:{PASSWORD}").into_bytes())
}

/// What the token says: each `scope=type:name:action,action` of the query, granted.
fn claims(query: &str, now: u64) -> Value {
    let scopes = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "scope");
    let access = scopes.flat_map(|(_, value)| value.split(' ').filter_map(access).collect::<Vec<_>>());
    json!({
        "iss": ISSUER,
        "sub": USER,
        "aud": SERVICE,
        "iat": now,
        // The registry's clock may be read a moment before ours.
        "nbf": now.saturating_sub(10),
        "exp": now + LIFETIME_SECONDS,
        "access": access.collect::<Vec<_>>(),
    })
}

/// One scope; a name may hold a colon, as a host with a port does.
fn access(scope: &str) -> Option<Value> {
    let (kind, rest) = scope.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    Some(json!({ "type": kind, "name": name, "actions": actions.split(',').collect::<Vec<_>>() }))
}

impl Signer {
    /// A JSON Web Token (RFC 7519) that brings the certificate of its key with it.
    fn sign(&self, claims: &Value) -> Option<String> {
        let head =
            json!({ "typ": "JWT", "alg": "ES256", "x5c": [BASE64_STANDARD.encode(&self.certificate)] });
        let encode = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&head), encode(claims));
        let signature = self.key.sign(&self.random, signed.as_bytes()).ok()?;
        Some(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_of_the_query_is_granted() {
        let claims = claims("service=x&scope=repository%3Aa%2Fb%3Apull%2Cpush&scope=repository:c:pull", 100);
        assert_eq!(
            claims["access"],
            json!([
                { "type": "repository", "name": "a/b", "actions": ["pull", "push"] },
                { "type": "repository", "name": "c", "actions": ["pull"] },
            ])
        );
        assert_eq!((&claims["exp"], &claims["nbf"]), (&json!(160), &json!(90)));
    }

    #[test]
    fn a_scope_without_actions_is_nothing() {
        assert_eq!(claims("scope=repository", 0)["access"], json!([]));
        assert_eq!(claims("", 0)["access"], json!([]));
    }

    #[test]
    fn only_the_user_with_the_password_gets_a_token() {
        let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        assert!(is_the_user(&basic("tester:correct horse")));
        for wrong in
            [basic("tester:"), basic("tester"), basic(""), "Basic %".to_owned(), "Bearer x".to_owned()]
        {
            assert!(!is_the_user(&wrong), "{wrong}");
        }
    }
}
