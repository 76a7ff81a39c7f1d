//! A client that asks a service again and again, and what it sees of a replacement.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::failure::{Failure, Result};
use crate::interrupt;

/// Between two questions: no gap is known better than this.
const INTERVAL: Duration = Duration::from_millis(2);
/// An answer takes no longer.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// Everything is over by then.
const LIMIT: Duration = Duration::from_secs(120);

/// What was seen of one replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Swap {
    /// From the last answer of the old version to the first one of the new version.
    pub(super) without_service: Duration,
    /// From the start of the command to the first answer of the new version, with the pull.
    pub(super) from_command: Duration,
}

/// What was answered, and how long after the start of the command.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    at: Duration,
    page: String,
}

/// Asks the service at `port` while `replace` replaces the version that says `old`, if there is one, by the one that says `new`.
pub(super) fn replaced(
    port: u16,
    old: Option<&str>,
    new: &str,
    replace: impl FnOnce() -> Result + Send,
) -> Result<Swap> {
    let began = Instant::now();
    let mut answers = Vec::new();
    let mut ask = || {
        let page = ask(port);
        let is_new = page.as_deref() == Some(new);
        answers.extend(page.map(|page| Answer { at: began.elapsed(), page }));
        is_new
    };
    ask();
    std::thread::scope(|scope| -> Result {
        let mut command = Some(scope.spawn(replace));
        let mut is_there = false;
        while command.is_some() || !is_there {
            is_there = ask();
            // A command that ended without the new version is a failure of its own.
            if interrupt::interrupted() || began.elapsed() > LIMIT {
                break;
            }
            if let Some(ended) = command.take_if(|command| command.is_finished()) {
                ended.join().map_err(|_| Failure::new("the replacement panicked"))??;
            }
            std::thread::sleep(INTERVAL);
        }
        Ok(())
    })?;
    let first = Swap { without_service: Duration::ZERO, from_command: Duration::ZERO };
    match old {
        Some(old) => seen(&answers, old, new).map_err(Failure::new),
        None if answers.iter().any(|answer| answer.page == new) => Ok(first),
        None => Err(Failure::new(format!("nobody at port {port} says {new:?}"))),
    }
}

/// One question (RFC 1945): the page, or `None` when nobody answers it.
fn ask(port: u16) -> Option<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT).ok()?;
    stream.set_read_timeout(Some(ANSWER_LIMIT)).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    page_of(&text)
}

/// What a whole 200 holds. A server that is killed breaks off in the middle.
fn page_of(answer: &str) -> Option<String> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    lines.next()?.split(' ').nth(1).filter(|code| *code == "200")?;
    let mut fields = lines.filter_map(|line| line.split_once(':'));
    let (_, length) = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    (length.trim().parse() == Ok(body.len())).then(|| body.to_owned())
}

/// What the answers say of the replacement. There have to be some of both versions, and none of another, nor of the old one after
/// the new one.
fn seen(answers: &[Answer], old: &str, new: &str) -> std::result::Result<Swap, String> {
    let at = answers.iter().position(|answer| answer.page == new);
    let (before, after) = at.map_or((answers, [].as_slice()), |at| answers.split_at(at));
    if let Some(other) = before.iter().find(|answer| answer.page != old) {
        return Err(format!("{:?} was answered where {old:?} is expected", other.page));
    }
    if let Some(other) = after.iter().find(|answer| answer.page != new) {
        return Err(format!("{:?} was answered after {new:?}", other.page));
    }
    let last = before.last().ok_or_else(|| format!("{old:?} never answered"))?;
    let first = after.first().ok_or_else(|| format!("{new:?} never answered"))?;
    Ok(Swap { without_service: first.at.saturating_sub(last.at), from_command: first.at })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(all: &[(u64, &str)]) -> Vec<Answer> {
        let answer =
            |(at, page): &(u64, &str)| Answer { at: Duration::from_millis(*at), page: (*page).to_owned() };
        all.iter().map(answer).collect()
    }

    #[test]
    fn the_gap_is_from_the_last_old_answer_to_the_first_new_one() {
        let swap = seen(&answers(&[(0, "a"), (10, "a"), (60, "b"), (61, "b")]), "a", "b");
        let (gap, whole) = (Duration::from_millis(50), Duration::from_millis(60));
        assert_eq!(swap, Ok(Swap { without_service: gap, from_command: whole }));
    }

    #[test]
    fn what_is_no_replacement_is_refused() {
        for (all, part) in [
            (vec![(0, "a")], "\"b\" never answered"),
            (vec![(0, "b")], "\"a\" never answered"),
            (vec![(0, "a"), (1, "b"), (2, "a")], "after \"b\""),
            (vec![(0, "a"), (1, "c"), (2, "b")], "\"c\" was answered"),
        ] {
            let refused = seen(&answers(&all), "a", "b").expect_err("it is none");
            assert!(refused.contains(part), "{refused}");
        }
    }

    #[test]
    fn only_a_whole_answer_is_one() {
        let head = "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(page_of(&format!("{head}app 1")), Some("app 1".to_owned()));
        for broken in ["", "HTTP/1.0 200 OK\r\n", head, "HTTP/1.0 200 OK\r\n\r\napp 1"] {
            assert_eq!(page_of(broken), None, "{broken}");
        }
        assert_eq!(page_of(&format!("{head}app 1").replace("200 OK", "404 Not Found")), None);
    }

    #[test]
    fn a_command_that_fails_is_the_failure() {
        let failure =
            replaced(1, Some("a"), "b", || Err(Failure::new("no such image"))).expect_err("it failed");
        assert!(failure.to_string().contains("no such image"), "{failure}");
    }
}
