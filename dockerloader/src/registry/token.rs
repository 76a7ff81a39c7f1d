//! The answer of a token service, and how long its token is good for: pure.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use oci_client::token_cache::RegistryToken;
use serde::Deserialize;

/// How long a token is good for when nobody says (distribution, "Token Authentication Specification").
const DEFAULT_LIFETIME: Duration = Duration::from_secs(60);

/// The longest that a token is kept, whatever it says.
const LONGEST_LIFETIME: Duration = Duration::from_secs(3600);

/// A token and how long it is used.
pub(super) struct Token {
    pub(super) value: String,
    /// From when it was asked for. A tenth less than it is good for, since requests take time.
    pub(super) lifetime: Duration,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(flatten)]
    token: RegistryToken,
    expires_in: Option<serde_json::Number>,
}

/// Reads a token service's answer; the error says what is wrong without quoting it.
pub(super) fn parse(bytes: &[u8]) -> Result<Token, &'static str> {
    let answer: Answer =
        serde_json::from_slice(bytes).map_err(|_| "it is no JSON with `token` or `access_token`")?;
    let value = answer.token.token();
    // RFC 6750, 2.1: what else would end up in a header.
    let is_token = !value.is_empty() && value.chars().all(|c| c.is_ascii_graphic());
    if !is_token {
        return Err("its token is empty or has characters that no header can hold");
    }
    let said = answer.expires_in.and_then(|seconds| seconds.as_u64()).map(Duration::from_secs);
    let lifetime = match (said, jwt_lifetime(value)) {
        (Some(said), Some(inside)) => said.min(inside),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => DEFAULT_LIFETIME,
    };
    Ok(Token { lifetime: lifetime.min(LONGEST_LIFETIME).mul_f64(0.9), value: value.to_owned() })
}

/// From issue to expiry, both by the token service's clock: ours may be wrong. The token is not verified, which is the
/// registry's business.
fn jwt_lifetime(token: &str) -> Option<Duration> {
    #[derive(Deserialize)]
    struct Claims {
        exp: u64,
        iat: Option<u64>,
        nbf: Option<u64>,
    }
    let mut parts = token.split('.');
    let (_, payload, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    Some(Duration::from_secs(claims.exp.saturating_sub(claims.iat.or(claims.nbf)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_lifetime_counts_with_a_margin() {
        let jwt = |claims: &str| {
            format!("e30.{}.x", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims))
        };
        for (token, expires_in, seconds) in [
            ("opaque".to_owned(), None, 54),
            ("opaque".to_owned(), Some("300"), 270),
            ("opaque".to_owned(), Some("null"), 54),
            ("opaque".to_owned(), Some("-5"), 54),
            ("opaque".to_owned(), Some("9999999"), 3240),
            ("opaque".to_owned(), Some("0"), 0),
            (jwt(r#"{"exp":1100,"iat":1000}"#), None, 90),
            (jwt(r#"{"exp":1100,"nbf":1000}"#), Some("50"), 45),
            (jwt(r#"{"exp":1000,"iat":1100}"#), Some("50"), 0),
            (jwt(r#"{"exp":1100}"#), None, 54),
            (jwt("not json"), None, 54),
            ("a.b.c.d.e".to_owned(), None, 54),
        ] {
            let expires_in = expires_in.map(|text| format!(r#","expires_in":{text}"#)).unwrap_or_default();
            let read = parse(format!(r#"{{"token":"{token}"{expires_in}}}"#).as_bytes()).unwrap();
            assert_eq!(read.lifetime, Duration::from_secs(seconds), "{token} {expires_in}");
            assert!(!format!("{read:?}").contains("opaque"), "a token is never shown");
        }
    }

    #[test]
    fn both_names_are_known_and_the_rest_is_refused() {
        assert_eq!(parse(br#"{"access_token":"a"}"#).unwrap().value, "a");
        assert_eq!(parse(br#"{"token":"t","access_token":"a"}"#).unwrap().value, "t");
        for bad in
            ["", "{}", "[]", r#"{"token":""}"#, r#"{"token":"a\nb"}"#, r#"{"token":"a b"}"#, r#"{"token":1}"#]
        {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
