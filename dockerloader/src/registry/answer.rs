//! Answers: small bodies under a cap and a deadline, and refusals in the registry's own words.

use oci_client::errors::OciEnvelope;
use reqwest::header::{DATE, HeaderName, RETRY_AFTER};
use reqwest::{Response, Url};

use super::error::{Error, printable};
use super::retry;
use super::transport::{Transport, host_of};
use crate::limits::{Limit, OverLimit};

/// Reads a whole small body.
pub(super) async fn read(
    transport: &Transport,
    response: Response,
    limit: Limit,
    what: &str,
) -> Result<Vec<u8>, Error> {
    let host = host_of(response.url());
    let over = |source: OverLimit| Error::OverLimit { host: host.clone(), what: what.to_owned(), source };
    if let Some(length) = response.content_length() {
        limit.check(length).map_err(over)?;
    }
    let (bytes, is_all) = up_to(transport, response, limit.max).await?;
    if is_all { Ok(bytes) } else { Err(over(OverLimit { limit, found: limit.max.saturating_add(1) })) }
}

/// Reads a body up to a length; whether that was all of it.
async fn up_to(transport: &Transport, mut response: Response, most: u64) -> Result<(Vec<u8>, bool), Error> {
    let host = host_of(response.url());
    let mut bytes = Vec::new();
    let read = async {
        while let Some(chunk) =
            response.chunk().await.map_err(|error| transport.explain(&error.without_url(), host.clone()))?
        {
            let room = usize::try_from(most).unwrap_or(usize::MAX).saturating_sub(bytes.len());
            bytes.extend(chunk.iter().take(room));
            if chunk.len() > room {
                return Ok(false);
            }
        }
        Ok(true)
    };
    let after = transport.deadlines.small_body;
    match tokio::time::timeout(after, read).await {
        Ok(is_all) => is_all.map(|is_all| (bytes, is_all)),
        Err(_) => Err(Error::Timeout { host, what: "an answer that does not end", after }),
    }
}

/// What a refusal is about.
pub(super) struct Asked<'a> {
    /// `host[:port]` of the registry, which a redirect may have led away from.
    pub(super) host: &'a str,
    pub(super) repository: &'a str,
    pub(super) what: &'a str,
    /// Which credentials were used, or why none were.
    pub(super) credentials: String,
}

/// The error that an answer without success stands for.
pub(super) async fn refusal(
    transport: &Transport,
    response: Response,
    limit: Limit,
    asked: Asked<'_>,
) -> Error {
    let status = response.status().as_u16();
    let (elsewhere, is_own) = (host_of(response.url()), is_of(response.url(), asked.host));
    let header = |name: HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
    let retry_after = header(RETRY_AFTER).and_then(|value| retry::retry_after(value, header(DATE)));
    // The status has been said: a body that breaks off, or doesn't end, adds nothing to it.
    let body = up_to(transport, response, limit.max).await.map(|(bytes, _)| bytes).unwrap_or_default();
    let (host, said) = (asked.host.to_owned(), said(&body));
    let (repository, what) = (asked.repository.to_owned(), format!("{} of {}", asked.what, asked.repository));
    match status {
        status if !is_own => Error::Elsewhere { host, elsewhere, what, status, said, retry_after },
        401 => Error::Unauthorized { host, repository, credentials: asked.credentials, said },
        403 => Error::Forbidden { host, repository, credentials: asked.credentials, said },
        404 | 410 => Error::NotFound { host, what, said },
        status => Error::Status { host, what, status, said, retry_after },
    }
}

/// Whether an address is one of `host[:port]`, which may be in capitals, or have the port that goes without saying.
pub(super) fn is_of(url: &Url, host: &str) -> bool {
    Url::parse(&format!("{}://{host}", url.scheme())).is_ok_and(|own| own.origin() == url.origin())
}

/// The registry's own words (OCI distribution spec, "Error Codes"), ready to be put after a sentence; empty if there are
/// none that a person would want to read.
fn said(body: &[u8]) -> String {
    if let Ok(envelope) = serde_json::from_slice::<OciEnvelope>(body)
        && let Some(first) = envelope.errors.first()
    {
        let code = serde_json::to_value(&first.code).ok();
        let code = code.as_ref().and_then(serde_json::Value::as_str).unwrap_or("UNKNOWN");
        let separator = if first.message.is_empty() { "" } else { ": " };
        return format!("; it says {}{separator}{}", printable(code), printable(&first.message));
    }
    let text = String::from_utf8_lossy(body);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    // A page for browsers, or JSON of another kind.
    if line.is_empty() || line.starts_with(['<', '{', '[']) {
        return String::new();
    }
    format!("; it says {}", printable(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_known_by_its_address() {
        for (url, host, expected) in [
            ("https://r.example/v2/", "R.example:443", true),
            ("http://r.example/v2/", "r.example:80", true),
            ("https://r.example:5000/x?y", "r.example:5000", true),
            ("https://r.example:5001/", "r.example:5000", false),
            ("https://cdn.example/", "r.example", false),
        ] {
            assert_eq!(is_of(&Url::parse(url).unwrap(), host), expected, "{url} {host}");
        }
    }

    #[test]
    fn a_registry_is_quoted_without_what_could_harm_a_terminal() {
        for (body, expected) in [
            (
                r#"{"errors":[{"code":"DENIED","message":"no \u001b[31mpull","detail":{}}]}"#,
                "; it says DENIED: no \u{fffd}[31mpull",
            ),
            (r#"{"errors":[{"code":"SOMETHING_NEW"}]}"#, "; it says SOMETHING_NEW"),
            (r#"{"errors":[]}"#, ""),
            ("<html>\nno", ""),
            ("\n try later\nreally", "; it says try later"),
            ("", ""),
        ] {
            assert_eq!(said(body.as_bytes()), expected);
        }
        assert!(said("x".repeat(100_000).as_bytes()).len() < 400);
    }
}
