//! `ready`, `extend`, `check`: what an application in any language asks of its supervisor.

use super::Context;
use super::exit::Exit;
use super::failure::Failure;
use super::{live, output};
use crate::app::Error;
use crate::control::{Reply, Request};

pub(super) fn ready(context: &Context, json: bool) -> Result<Exit, Failure> {
    let reply = ask(context, &Request::Ready { generation: live::generation(context) })?;
    let text = match &reply {
        Reply::Committed { digest } => format!("trial successful, committed to version {digest}"),
        Reply::AlreadyCommitted { digest } => format!("version {digest} was committed already"),
        other => return Err(Error::unexpected(other).into()),
    };
    output::answer(json, &reply, &text)?;
    Ok(Exit::Success)
}

pub(super) fn extend(context: &Context, milliseconds: u64, json: bool) -> Result<Exit, Failure> {
    let reply = ask(context, &Request::Extend { generation: live::generation(context), milliseconds })?;
    let text = match &reply {
        Reply::Extended { milliseconds } => format!("the trial ends in {milliseconds} ms"),
        other => return Err(Error::unexpected(other).into()),
    };
    output::answer(json, &reply, &text)?;
    Ok(Exit::Success)
}

pub(super) fn check(context: &Context, json: bool) -> Result<Exit, Failure> {
    let reply = ask(context, &Request::Check { generation: live::generation(context) })?;
    let (exit, text) = match &reply {
        Reply::UpToDate { digest } => {
            (Exit::Success, format!("already running the latest version, {digest}"))
        }
        Reply::Staged { digest } => {
            (Exit::Staged, format!("update available: {digest} is staged; exit with 42 to have it tried"))
        }
        Reply::Skipped { digest, reason } => (
            Exit::Success,
            format!(
                "skipping update to {digest}: {reason}; to have it tried again: dockerloader forget {}",
                digest.short()
            ),
        ),
        Reply::CheckFailed { error, remedy } => {
            if !json {
                return Err(Failure::new((*remedy).into(), error.clone()));
            }
            ((*remedy).into(), error.clone())
        }
        other => return Err(Error::unexpected(other).into()),
    };
    output::answer(json, &reply, &text)?;
    Ok(exit)
}

fn ask(context: &Context, request: &Request) -> Result<Reply, Failure> {
    live::ask(context, request)?.ok_or_else(|| {
        Failure::new(
            Exit::Temporary,
            format!(
                "no supervisor can be reached for {}; is one alive?",
                context.settings.data_dir.display()
            ),
        )
    })
}
