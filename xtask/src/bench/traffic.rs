//! What a registry was asked and what it sent, from its access log. Pure.

use std::collections::BTreeMap;

/// Requests and bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    /// How often each method was used.
    pub(super) requests: BTreeMap<String, usize>,
    /// Bytes of all bodies that were sent.
    pub(super) sent: u64,
}

impl Traffic {
    /// `1 GET, 2 HEAD`.
    pub(super) fn shown(&self) -> String {
        let each = self.requests.iter().map(|(method, count)| format!("{count} {method}"));
        let text = each.collect::<Vec<_>>().join(", ");
        if text.is_empty() { "none".to_owned() } else { text }
    }
}

/// What stands between two marks in an access log (Apache's combined format; other lines are left out).
pub(super) fn read(log: &str, from: &str, to: &str) -> Traffic {
    let answers = log.lines().filter_map(answer);
    let between = answers.skip_while(|answer| answer.path != from).skip(1);
    let mut traffic = Traffic::default();
    for answer in between.take_while(|answer| answer.path != to) {
        *traffic.requests.entry(answer.method.to_owned()).or_insert(0) += 1;
        traffic.sent += answer.sent;
    }
    traffic
}

#[derive(Debug)]
struct Answer<'l> {
    method: &'l str,
    path: &'l str,
    sent: u64,
}

/// `host - - [time] "GET /path HTTP/1.1" 200 1234 "referer" "agent"`
fn answer(line: &str) -> Option<Answer<'_>> {
    let (before, rest) = line.split_once(" \"")?;
    let (request, rest) = rest.split_once("\" ")?;
    let mut words = request.split(' ');
    let (method, path, version) = (words.next()?, words.next()?, words.next()?);
    if before.starts_with("time=") || !version.starts_with("HTTP/1.") {
        return None;
    }
    let sent = rest.split(' ').nth(1)?.parse().ok()?;
    // The body of an answer to HEAD is counted, and not sent.
    Some(Answer { method, path, sent: if method == "HEAD" { 0 } else { sent } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_counts() {
        let log = r#"127.0.0.1 - - [22/Nov/2026:15:00:00 +0000] "GET /v2/ HTTP/1.1" 200 2 "" "x"
127.0.0.1 - - [22/Nov/2026:15:00:00 +0000] "GET /mark-1/ HTTP/1.0" 404 19 "" ""
time="2026-11-22T15:00:00Z" level=info msg="response completed" http.request.method=HEAD
127.0.0.1 - - [22/Nov/2026:15:00:00 +0000] "HEAD /v2/bench/manifests/bench HTTP/1.1" 200 2 "" "x"
127.0.0.1 - - [22/Nov/2026:15:00:00 +0000] "GET /v2/ HTTP/1.1" 200 2 "" "x"
127.0.0.1 - - [22/Nov/2026:15:00:00 +0000] "GET /v2/ HTTP/1.1" 206 40 "" "x"
127.0.0.1 - - [22/Nov/2026:15:00:00 +0000] "GET /mark-2/ HTTP/1.0" 404 19 "" ""
127.0.0.1 - - [22/Nov/2026:15:00:00 +0000] "PUT /v2/ HTTP/1.1" 200 2 "" "x""#;
        let traffic = read(log, "/mark-1/", "/mark-2/");
        assert_eq!((traffic.shown().as_str(), traffic.sent), ("2 GET, 1 HEAD", 42));
        assert_eq!(read(log, "/mark-3/", "/mark-4/"), Traffic::default());
    }
}
