//! `start`, `stop` and the other things that are done to containers.

use axum::http::Method;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::arguments::{Act, Rollback, Tag, Wait};
use super::client::{Answer, Call, Client};
use super::exit::Exit;
use super::failure::{Failure, Result};
use super::screen::Screen;
use super::show::of;
use super::{follow, output};
use crate::report::ContainerReport;

/// What is done to containers, by its name in the API, and what is said when it is done or was so already.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verb {
    name: &'static str,
    done: &'static str,
}

pub(super) const START: Verb = Verb { name: "start", done: "is no longer stopped by hand" };
pub(super) const STOP: Verb = Verb { name: "stop", done: "is stopped, until `deviced start` is said" };
pub(super) const RESTART: Verb = Verb { name: "restart", done: "was restarted" };
pub(super) const UPDATE: Verb =
    Verb { name: "update", done: "has been looked at; `deviced why` says what was found" };
pub(super) const RELEASE: Verb = Verb { name: "release", done: "follows the document" };
pub(super) const PAUSE: Verb = Verb { name: "pause", done: "is left alone, until `deviced resume` is said" };
pub(super) const RESUME: Verb = Verb { name: "resume", done: "is looked after" };
const ROLLBACK: Verb = Verb { name: "rollback", done: "is back, and stays until `deviced release` is said" };
const TAG: Verb = Verb { name: "tag", done: "follows the tag" };
const UNTAG: Verb = Verb { name: "tag", done: "follows the document's versions" };

/// Does it to each; one that refuses does not keep it from the others.
pub(super) async fn act(client: &Client, arguments: &Act, verb: Verb) -> Result<Exit> {
    let mut screen = Screen::new(arguments.json);
    let mut exit = Exit::Done;
    let mut begun = Vec::new();
    for id in &arguments.ids {
        let path = of(id, &format!("/{}", verb.name));
        match client.send(Call::new(Method::POST, path)).await {
            Ok(answer) => begun.push((id, answer)),
            Err(failure) => exit = exit.worse(failure.report()),
        }
    }
    for (id, answer) in begun {
        exit = exit.worse(done(client, id, verb, &answer, &arguments.wait, &mut screen).await?);
    }
    Ok(exit)
}

pub(super) async fn rollback(client: &Client, arguments: &Rollback) -> Result<Exit> {
    let mut call = Call::new(Method::POST, of(&arguments.id, "/rollback"));
    if let Some(to) = arguments.to {
        call = call.body("application/json", json!({"to": to}).to_string());
    }
    let answer = client.send(call).await?;
    let mut screen = Screen::new(arguments.json);
    done(client, &arguments.id, ROLLBACK, &answer, &arguments.wait, &mut screen).await
}

pub(super) async fn tag(client: &Client, arguments: &Tag) -> Result<Exit> {
    let path = of(&arguments.id, "/tag");
    let (call, verb) = match (&arguments.tag, arguments.document) {
        (Some(tag), _) => {
            (Call::new(Method::PUT, path).body("application/json", json!({"tag": tag}).to_string()), TAG)
        }
        (None, true) => (Call::new(Method::DELETE, path), UNTAG),
        (None, false) => return show_tag(client, arguments).await,
    };
    let answer = client.send(call).await?;
    let mut screen = Screen::new(arguments.json);
    done(client, &arguments.id, verb, &answer, &arguments.wait, &mut screen).await
}

async fn show_tag(client: &Client, arguments: &Tag) -> Result<Exit> {
    let answer = client.get(of(&arguments.id, "")).await?;
    if arguments.json {
        output::json(&answer.body)?;
        return Ok(Exit::Done);
    }
    let container: ContainerReport = answer.json()?;
    let tag = container.overrides.iter().find_map(|said| said.strip_prefix("tag "));
    let text = match tag {
        Some(tag) => format!(
            "{} follows the tag {tag}; `deviced tag {} --document` ends that\n",
            container.id, container.id
        ),
        None => format!("{} follows the document's versions\n", container.id),
    };
    output::print(&text)?;
    Ok(Exit::Done)
}

/// Follows what was begun, or says that it is done.
pub(super) async fn done(
    client: &Client,
    id: &str,
    verb: Verb,
    answer: &Answer,
    wait: &Wait,
    screen: &mut Screen,
) -> Result<Exit> {
    if matches!(screen, Screen::Objects) && !answer.body.is_empty() {
        output::json(&answer.body)?;
    }
    let operation = (answer.status == StatusCode::ACCEPTED).then(|| operation(answer)).transpose()?;
    match operation {
        Some(operation) if wait.no_wait => {
            screen.say(&format!("{id}: {} is under way: operation {operation}", verb.name))?;
            Ok(Exit::Done)
        }
        Some(operation) => {
            let exit = follow::operation(client, id, &operation, wait, screen).await?;
            if exit == Exit::Done {
                screen.say(&format!("{id} {}", verb.done))?;
            }
            Ok(exit)
        }
        None => {
            screen.say(&format!("{id} {}", verb.done))?;
            Ok(Exit::Done)
        }
    }
}

impl Verb {
    /// Of another command.
    pub(super) const fn new(name: &'static str, done: &'static str) -> Self {
        Self { name, done }
    }
}

fn operation(answer: &Answer) -> Result<String> {
    let body: Value = answer.json()?;
    let id = body.get("operation").and_then(Value::as_str).map(str::to_owned);
    id.ok_or_else(|| {
        Failure::new(
            Exit::No,
            "deviced began it, and did not say which operation it is; see `deviced status`",
        )
    })
}
