//! `status`, `rollback`, `forget`: by the supervisor if one is alive, else on the directory itself.

use super::Context;
use super::arguments::DigestPrefix;
use super::exit::Exit;
use super::failure::Failure;
use super::{live, output, text};
use crate::app::Error;
use crate::clock;
use crate::control::{Reply, Request};
use crate::digest::Digest;
use crate::disk::RealDisk;
use crate::report::report;
use crate::slots::{self, Event, Policy, Slots};
use crate::status::Status;

pub(super) fn status(context: &Context, json: bool) -> Result<Exit, Failure> {
    let status = match live::ask(context, &Request::Status)? {
        Some(Reply::Status(status)) => *status,
        Some(other) => return Err(Error::unexpected(&other).into()),
        None => on_disk(context)?,
    };
    if json {
        output::answer(true, &status, "")?;
    } else {
        output::print(&text::status(&status, clock::unix_seconds(), output::colours()))?;
    }
    Ok(Exit::Success)
}

fn on_disk(context: &Context) -> Result<Status, Failure> {
    let slots = read(context)?;
    let target = context.settings.target.as_ref().map(ToString::to_string);
    let mut status = report(&RealDisk, &context.layout, &slots, target);
    if let Some(pid) = live::named_process(&context.layout) {
        status.findings.push(format!(
            "the last supervisor was process {pid}; it has ended, or it runs in another container: \
             docker exec CONTAINER dockerloader status"
        ));
    }
    Ok(status)
}

pub(super) fn rollback(context: &Context, json: bool) -> Result<Exit, Failure> {
    let reply = match live::ask(context, &Request::Rollback)? {
        Some(reply) => reply,
        None => {
            let _place = live::take_place(context, "rollback")?;
            let before = read(context)?;
            let after = act(context, &Event::RollBack)?;
            moved(&before, &after)?
        }
    };
    let Reply::RollingBack { from, to } = &reply else { return Err(Error::unexpected(&reply).into()) };
    output::answer(json, &reply, &format!("rolled back from {from} to {to}"))?;
    Ok(Exit::Success)
}

/// What a rollback on the directory did: the version that would have run, and the one that runs next.
fn moved(before: &Slots, after: &Slots) -> Result<Reply, Failure> {
    let from = before.attempting.digest().or(before.current.digest());
    match (from, after.current.digest()) {
        (Some(from), Some(to)) if from != to => Ok(Reply::RollingBack { from, to }),
        _ => Err(Failure::new(
            Exit::Failed,
            "there is no previous version on disk to go back to; nothing was changed",
        )),
    }
}

pub(super) fn forget(context: &Context, prefix: &DigestPrefix, json: bool) -> Result<Exit, Failure> {
    let digest = prefix.resolve(judged(&read(context)?))?;
    let reply = match live::ask(context, &Request::Forget { digest })? {
        Some(reply) => reply,
        None => {
            let _place = live::take_place(context, "forget")?;
            let found = judged(&read(context)?).contains(&digest);
            act(context, &Event::Forget(digest))?;
            Reply::Forgotten { digest, found }
        }
    };
    let Reply::Forgotten { digest, found } = &reply else { return Err(Error::unexpected(&reply).into()) };
    let text = if *found {
        format!("{digest} may be tried again")
    } else {
        format!("{digest} was not rejected; nothing was changed")
    };
    output::answer(json, &reply, &text)?;
    Ok(Exit::Success)
}

/// Every digest that there is something to forget of.
pub(super) fn judged(slots: &Slots) -> Vec<Digest> {
    slots.memory.verdicts.iter().map(|verdict| verdict.digest).chain(slots.update_attempt).collect()
}

pub(super) fn read(context: &Context) -> Result<Slots, Failure> {
    slots::read(&RealDisk, &context.layout).map_err(|error| Failure::file(context.layout.root(), &error))
}

fn act(context: &Context, event: &Event) -> Result<Slots, Failure> {
    let policy = Policy {
        probation: !context.settings.probation.is_zero(),
        now: clock::moment(),
        ..Policy::default()
    };
    Ok(slots::act(&RealDisk, &context.layout, event, &policy)?)
}
