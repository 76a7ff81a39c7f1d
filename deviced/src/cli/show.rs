//! `status`, `why`, `history` and `registries`: what is known, for people or unchanged.

use super::arguments::{One, Show, Status};
use super::client::{Client, encoded};
use super::exit::Exit;
use super::failure::Result;
use super::output;
use super::text::{self, Asked};
use crate::report::ContainerReport;

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
    let verdicts = client.get(of(&arguments.id, "/verdicts")).await?.json::<Vec<_>>()?;
    let registries = client.get("/v1/registries").await?.json::<Vec<_>>()?;
    let asked = Asked { container: &container, verdicts: &verdicts, registries: &registries };
    output::print(&text::why(asked, &output::view()))?;
    Ok(Exit::Done)
}

pub(super) async fn history(client: &Client, arguments: &One) -> Result<Exit> {
    let versions = client.get(of(&arguments.id, "/history")).await?;
    if arguments.json {
        output::json(&versions.body)?;
        return Ok(Exit::Done);
    }
    let verdicts = client.get(of(&arguments.id, "/verdicts")).await?.json::<Vec<_>>()?;
    output::print(&text::history(&versions.json::<Vec<_>>()?, &verdicts, &output::view()))?;
    Ok(Exit::Done)
}

pub(super) async fn registries(client: &Client, arguments: &Show) -> Result<Exit> {
    let answer = client.get("/v1/registries").await?;
    if arguments.json {
        output::json(&answer.body)?;
    } else {
        output::print(&text::registries(&answer.json::<Vec<_>>()?, &output::view()))?;
    }
    Ok(Exit::Done)
}

/// The path of something of a container.
pub(super) fn of(id: &str, what: &str) -> String {
    format!("/v1/containers/{}{what}", encoded(id))
}
