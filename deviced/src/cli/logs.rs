//! `logs`: what a container writes.

use std::io::{self, IsTerminal as _, Write as _};

use dockerloader::clock;
use jiff::Timestamp;
use serde_json::Value;

use super::arguments::Logs;
use super::client::Client;
use super::exit::Exit;
use super::failure::{Failure, Result};
use super::output;
use super::show::of;
use super::stream::Stream;
use crate::document::quantity::Span;
use crate::report::LineReport;

pub(super) async fn logs(client: &Client, arguments: &Logs) -> Result<Exit> {
    let now = i64::try_from(clock::unix_seconds()).unwrap_or(i64::MAX);
    let since = arguments.since.as_deref().map(|text| since(text, now)).transpose()?;
    let query = [
        arguments.tail.map(|tail| format!("tail={tail}")),
        since.map(|since| format!("since={since}")),
        arguments.follow.then(|| "follow=true".to_owned()),
    ];
    let query: Vec<_> = query.into_iter().flatten().collect();
    let mark = if query.is_empty() { "" } else { "?" };
    let path = of(&arguments.id, &format!("/logs{mark}{}", query.join("&")));
    if !arguments.follow {
        let answer = client.get(path).await?;
        if arguments.json {
            output::print(&String::from_utf8_lossy(&answer.body))?;
            return Ok(Exit::Done);
        }
        for line in answer.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            show(line, arguments)?;
        }
        return Ok(Exit::Done);
    }
    let again = of(&arguments.id, "/logs?follow=true");
    let mut stream = Stream::new(client, path, again);
    loop {
        let event = stream.next().await?;
        match event.name.as_str() {
            "line" if arguments.json => output::print(&format!("{}\n", event.data))?,
            "line" => show(event.data.as_bytes(), arguments)?,
            // Lines were lost: more were written than could be sent.
            "gap" => eprintln!("deviced: lines are missing here: the engine has them no more"),
            "problem" => eprintln!("deviced: the log breaks off: {}", event.data),
            _ => {}
        }
    }
}

/// A line where the container wrote it: to standard output or standard error.
fn show(line: &[u8], arguments: &Logs) -> Result<()> {
    let not_understood =
        |error| Failure::new(Exit::No, format!("a line of the log is not understood: {error}"));
    let value: Value = serde_json::from_slice(line).map_err(not_understood)?;
    if let Some(problem) = value.get("problem") {
        return Err(Failure::new(Exit::No, format!("the log breaks off: {problem}")));
    }
    if value.get("end").is_some() {
        return Ok(());
    }
    let line: LineReport = serde_json::from_value(value).map_err(not_understood)?;
    let at = if arguments.timestamps { format!("{} ", line.at) } else { String::new() };
    let text = |terminal: bool| if terminal { tame(&line.text) } else { line.text.clone() };
    if line.error {
        let text = text(io::stderr().is_terminal());
        // There is nobody to tell that nothing can be told.
        let _ = writeln!(io::stderr(), "{at}{text}");
        Ok(())
    } else {
        output::print(&format!("{at}{}\n", text(io::stdout().is_terminal())))
    }
}

/// What a container wrote, without what controls the terminal; colours stay (ECMA-48, SGR).
fn tame(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_control() && c != '\t') {
        let (before, control) = rest.split_at(at);
        out.push_str(before);
        let colour = control.strip_prefix("\u{1b}[").and_then(|code| {
            let end = code.find(|c: char| !c.is_ascii_digit() && c != ';')?;
            code.get(end..)?.starts_with('m').then_some(end + 3)
        });
        let (shown, after) = match colour {
            Some(length) => control.split_at(length),
            None => ("", control),
        };
        out.push_str(shown);
        rest = after;
        if colour.is_none() {
            let mut characters = rest.chars();
            out.extend(characters.next().into_iter().flat_map(char::escape_default));
            rest = characters.as_str();
        }
    }
    out.push_str(rest);
    if text.contains('\u{1b}') {
        out.push_str("\u{1b}[0m");
    }
    out
}

/// Seconds since 1970: a date, or how long ago.
fn since(text: &str, now: i64) -> Result<i64> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time.as_second());
    }
    let ago = Span::read(text).map_err(|_| {
        Failure::new(
            Exit::Usage,
            format!("--since is {text:?}; what is allowed is how long ago, such as 10m, or a date, such as 2026-01-31T23:00:00Z"),
        )
    })?;
    Ok(now.saturating_sub(i64::try_from(ago.0.as_secs()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_date_or_how_long_ago() {
        for (text, found) in [
            ("10m", 400),
            ("1h30m", -4400),
            ("1970-01-01T00:10:00Z", 600),
            ("1970-01-01T01:10:00+01:00", 600),
        ] {
            assert_eq!(since(text, 1000), Ok(found), "{text}");
        }
        for wrong in ["", "yesterday", "10", "2026-01-31"] {
            let failure = since(wrong, 1000).unwrap_err();
            assert!(failure.exit == Exit::Usage && failure.message.contains("10m"), "{failure}");
        }
    }

    #[test]
    fn a_container_colours_its_lines_and_does_no_more_to_the_terminal() {
        for (text, tamed) in [
            ("plain\ttext äö", "plain\ttext äö"),
            ("\u{1b}[1;31mred\u{1b}[0m", "\u{1b}[1;31mred\u{1b}[0m\u{1b}[0m"),
            ("\u{1b}[mx", "\u{1b}[mx\u{1b}[0m"),
            ("\u{1b}[2Jx", "\\u{1b}[2Jx\u{1b}[0m"),
            ("\u{1b}]0;title\u{7}x", "\\u{1b}]0;title\\u{7}x\u{1b}[0m"),
            ("a\rb\u{8}", "a\\rb\\u{8}"),
            ("\u{1b}[31", "\\u{1b}[31\u{1b}[0m"),
            ("\u{9b}31m", "\\u{9b}31m"),
        ] {
            assert_eq!(tame(text), tamed, "{text:?}");
        }
    }
}
