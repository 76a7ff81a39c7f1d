//! What went wrong, in [`Error`]'s words. Pure.

use std::time::Duration;

use super::Error;

/// What an engine says when its disk is full: the texts of ENOSPC and EDQUOT (errno(3)).
const FULL: [&str; 2] = ["no space left on device", "disk quota exceeded"];

/// What an answer with such a status means.
pub(super) fn of_status(call: &str, status: u16, message: &str) -> Error {
    let (call, message) = (call.to_owned(), message.trim().to_owned());
    match status {
        _ if FULL.iter().any(|words| message.contains(words)) => Error::Full { call, message },
        404 => Error::Missing { call, message },
        409 => Error::Conflict { call, message },
        400..=499 => Error::Refused { call, message },
        _ => Error::Failed { call, message },
    }
}

/// What an error inside a stream means that began with 200.
pub(super) fn of_stream(call: &str, message: &str) -> Error {
    of_status(call, 500, message)
}

/// The message of an answer that is an error: JSON with a `message`, or anything else.
pub(super) fn message(status: u16, body: &[u8]) -> String {
    const LONGEST: usize = 4096;
    let json = serde_json::from_slice::<serde_json::Value>(body).ok();
    let said = json.as_ref().and_then(|json| json.get("message").or_else(|| json.get("cause"))?.as_str());
    let text = said.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    match text.trim() {
        "" => format!("status {status} without a word"),
        text => text.chars().take(LONGEST).collect(),
    }
}

/// No answer in time.
pub(super) fn silent(call: &str, after: Duration) -> Error {
    Error::Silent { call: call.to_owned(), after }
}

/// An answer that is not what the API says.
pub(super) fn answer(call: &str, problem: impl ToString) -> Error {
    Error::Answer { call: call.to_owned(), problem: problem.to_string() }
}

/// An error of the client's in the words of this module. One that is carried inside it comes out again, now with the call's name.
pub(super) fn of_client(call: &str, error: bollard::errors::Error) -> Error {
    use bollard::errors::Error as Client;
    match error {
        Client::DockerResponseServerError { status_code, message: said } => {
            of_status(call, status_code, &message(status_code, said.as_bytes()))
        }
        Client::IOError { err } => match err.downcast::<Error>() {
            Ok(carried) => named(call, carried),
            Err(other) => answer(call, other),
        },
        other => answer(call, other),
    }
}

/// Carries an error through the client.
pub(super) fn carried(error: Error) -> bollard::errors::Error {
    bollard::errors::Error::IOError { err: std::io::Error::other(error) }
}

/// The same error about another call.
fn named(call: &str, error: Error) -> Error {
    match error {
        Error::Answer { problem, .. } => answer(call, problem),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_its_meaning() {
        let of = |status| of_status("start of 4711", status, "so it is\n");
        assert!(matches!(of(404), Error::Missing { .. }));
        assert!(matches!(of(409), Error::Conflict { .. }));
        for status in [400, 401, 403, 405, 422] {
            assert!(matches!(of(status), Error::Refused { .. }), "{status}");
        }
        for status in [500, 501, 503, 302] {
            assert!(matches!(of(status), Error::Failed { .. }), "{status}");
        }
        assert_eq!(of(404).to_string(), "start of 4711: so it is");
        for words in FULL {
            let full = of_stream("pull of a", &format!("write /var/lib/docker/tmp/x: {words}"));
            assert!(matches!(full, Error::Full { .. }) && full.is_about_engine());
        }
        assert!(!of_stream("pull of a", "manifest unknown").is_about_engine());
    }

    #[test]
    fn messages_are_found_in_any_body() {
        assert_eq!(message(500, br#"{"message":"port is taken"}"#), "port is taken");
        assert_eq!(message(500, br#"{"cause":"no such container","response":404}"#), "no such container");
        assert_eq!(message(502, b"<html>Bad gateway</html>\n"), "<html>Bad gateway</html>");
        assert_eq!(message(500, b""), "status 500 without a word");
        assert_eq!(message(500, b"{}"), "{}");
        assert_eq!(message(500, &[b'x'; 10_000]).len(), 4096);
    }
}
