//! `arguments` and `forget`: what was said over the document, and what was judged.

use std::path::Path;

use axum::http::Method;
use serde_json::Value;

use super::act::{Verb, done};
use super::arguments::{Forget, Options, ShowOrSet};
use super::client::{Call, Client, encoded};
use super::exit::Exit;
use super::failure::{Failure, Result};
use super::screen::Screen;
use super::show::of;
use super::{output, read};
use crate::report::{VerdictReport, VerdictsReport};

const CHANGE: Verb = Verb::new("arguments", "runs with the changed options");
const DOCUMENTS: Verb = Verb::new("arguments", "runs with the document's options");

pub(super) async fn arguments(client: &Client, options: &Options) -> Result<Exit> {
    let path = of(&options.id, "/arguments");
    let (call, verb) = match (options.what, &options.change) {
        (Some(ShowOrSet::Set), Some(change)) => {
            // RFC 7396, section 4.
            (Call::new(Method::PUT, path).body("application/merge-patch+json", patch(change)?), CHANGE)
        }
        _ if options.document => (Call::new(Method::DELETE, path), DOCUMENTS),
        _ => return show(client, options).await,
    };
    let answer = client.send(call).await?;
    let mut screen = Screen::new(options.json);
    done(client, &options.id, verb, &answer, &options.wait, &mut screen).await
}

async fn show(client: &Client, options: &Options) -> Result<Exit> {
    let answer = client.get(of(&options.id, "/arguments")).await?;
    if options.json {
        output::json(&answer.body)?;
    } else {
        output::print(&format!("{:#}\n", answer.json::<Value>()?))?;
    }
    Ok(Exit::Done)
}

/// What was given is JSON, before anybody is asked.
fn patch(text: &str) -> Result<String> {
    let text = if text == "-" { read::text(Path::new("-"))? } else { text.to_owned() };
    match serde_json::from_str::<Value>(&text) {
        Ok(Value::Object(_)) => Ok(text),
        Ok(_) => Err(Failure::new(
            Exit::Usage,
            "the change is no JSON object; write {\"environment\": {\"LEVEL\": \"debug\"}}",
        )),
        Err(error) => Err(Failure::new(Exit::Usage, format!("the change is no JSON: {error}"))),
    }
}

pub(super) async fn forget(client: &Client, arguments: &Forget) -> Result<Exit> {
    let verdicts = of(&arguments.id, "/verdicts");
    let path = match &arguments.digest {
        None => verdicts,
        Some(digits) => {
            let known: VerdictsReport = client.get(&*verdicts).await?.json()?;
            format!("{verdicts}/{}", encoded(&whole(digits, &arguments.id, &known.verdicts)?))
        }
    };
    let answer = client.send(Call::new(Method::DELETE, path)).await?;
    if arguments.json {
        output::json(&answer.body)?;
    } else {
        output::print(&format!("{}: forgotten; it may be tried again\n", arguments.id))?;
    }
    Ok(Exit::Done)
}

/// The digest that these are the first digits of.
fn whole(digits: &str, container: &str, known: &[VerdictReport]) -> Result<String> {
    let hex = digits.strip_prefix("sha256:").unwrap_or(digits).to_ascii_lowercase();
    let whole = format!("sha256:{hex}");
    let mut found: Vec<_> = known
        .iter()
        .map(|verdict| verdict.digest.clone())
        .filter(|digest| digest.starts_with(&whole))
        .collect();
    found.sort();
    found.dedup();
    let no = |what: &str| {
        Err(Failure::new(Exit::No, format!("{what} {digits}; `deviced why {container}` lists them")))
    };
    match found.as_slice() {
        [digest] => Ok(digest.clone()),
        [] => no("no version that was judged begins with"),
        _ => no("more than one version that was judged begins with"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_digits_of_a_digest_will_do() {
        let verdict =
            |hex: String| VerdictReport { digest: format!("sha256:{hex}"), ..VerdictReport::default() };
        let other = format!("{}00", "ab".repeat(31));
        // The first one twice: with other options.
        let known = ["cd".repeat(32), "cd".repeat(32), "ab".repeat(32), other].map(verdict);
        let whole = |digits: &str| whole(digits, "web", &known);
        let digest = format!("sha256:{}", "cd".repeat(32));
        for digits in ["cd", "CDCD", "sha256:cdcd", &digest] {
            assert_eq!(whole(digits).as_ref(), Ok(&digest), "{digits}");
        }
        assert!(whole("12").unwrap_err().message.starts_with("no version"));
        let failure = whole("abab").unwrap_err();
        assert!(failure.message.starts_with("more than one") && failure.exit == Exit::No, "{failure}");
    }

    #[test]
    fn a_change_is_an_object() {
        assert_eq!(patch("{\"a\": null}").unwrap(), "{\"a\": null}");
        for wrong in ["[]", "\"x\"", "{", ""] {
            assert_eq!(patch(wrong).unwrap_err().exit, Exit::Usage, "{wrong}");
        }
    }
}
