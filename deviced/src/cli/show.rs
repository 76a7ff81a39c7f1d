//! `status`, `why`, `history` and `registries`: what is known, for people or unchanged.

use super::arguments::{One, Show, Status};
use super::client::{Client, encoded};
use super::exit::Exit;
use super::failure::Result;
use super::output;
use super::text::{self, Asked};
use crate::report::{ContainerReport, HistoryReport, RegistriesReport, VerdictsReport};

pub(super) async fn status(client: &Client, arguments: &Status) -> Result<Exit> {
    let path = match &arguments.id {
        Some(id) => of(id, ""),
        None => "/v1/status".to_owned(),
    };
    let answer = client.get(path).await?;
    if arguments.json {
        output::json(&answer.body)?;
    } else if arguments.id.is_some() {
        output::print(&text::container(&answer.json()?, &output::view()))?;
    } else {
        output::print(&text::status(&answer.json()?, &output::view()))?;
    }
    Ok(Exit::Done)
}

pub(super) async fn why(client: &Client, arguments: &One) -> Result<Exit> {
    if arguments.json {
        output::json(&client.get(of(&arguments.id, "/why")).await?.body)?;
        return Ok(Exit::Done);
    }
    let container: ContainerReport = client.get(of(&arguments.id, "")).await?.json()?;
    let judged: VerdictsReport = client.get(of(&arguments.id, "/verdicts")).await?.json()?;
    let known: RegistriesReport = client.get("/v1/registries").await?.json()?;
    let asked = Asked { container: &container, verdicts: &judged.verdicts, registries: &known.registries };
    output::print(&text::why(asked, &output::view()))?;
    Ok(Exit::Done)
}

pub(super) async fn history(client: &Client, arguments: &One) -> Result<Exit> {
    let answer = client.get(of(&arguments.id, "/history")).await?;
    if arguments.json {
        output::json(&answer.body)?;
        return Ok(Exit::Done);
    }
    let ran: HistoryReport = answer.json()?;
    let judged: VerdictsReport = client.get(of(&arguments.id, "/verdicts")).await?.json()?;
    output::print(&text::history(&ran.versions, &judged.verdicts, &output::view()))?;
    Ok(Exit::Done)
}

pub(super) async fn registries(client: &Client, arguments: &Show) -> Result<Exit> {
    let answer = client.get("/v1/registries").await?;
    if arguments.json {
        output::json(&answer.body)?;
    } else {
        let known: RegistriesReport = answer.json()?;
        output::print(&text::registries(&known.registries, &output::view()))?;
    }
    Ok(Exit::Done)
}

/// The path of something of a container.
pub(super) fn of(id: &str, what: &str) -> String {
    format!("/v1/containers/{}{what}", encoded(id))
}
