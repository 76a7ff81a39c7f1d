//! Finding the supervisor of a data directory, or making sure that there is none.

use serde::Deserialize;

use super::Context;
use super::exit::Exit;
use super::failure::Failure;
use crate::app::{Client, Error};
use crate::control::{CONTROL_VARIABLE, GENERATION_VARIABLE, Reply, Request};
use crate::disk::{Disk as _, RealDisk};
use crate::layout::Layout;
use crate::supervisor::{self, LockError, Locked};

/// Largest address file that is read, in bytes.
const ADDRESS_BYTES: u64 = 64 << 10;

/// What the supervisor writes about itself beside the slots.
#[derive(Debug, Deserialize)]
struct Address {
    pid: u32,
    control: String,
}

/// Asks the supervisor of this directory. `Ok(None)` when none can be reached.
pub(super) fn ask(context: &Context, request: &Request) -> Result<Option<Reply>, Failure> {
    // The application's own supervisor comes first, then the one that the directory names.
    let inherited = context.environment.get(CONTROL_VARIABLE).filter(|address| !address.is_empty()).cloned();
    let written = address(&context.layout).map(|address| address.control);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Local, format!("cannot start: {error}")))?;
    for address in inherited.into_iter().chain(written) {
        match runtime.block_on(Client::new(address).ask(request)) {
            Ok(Reply::Refused { reason }) => return Err(Error::Refused { reason }.into()),
            Ok(reply) => return Ok(Some(reply)),
            // The address outlives its supervisor.
            Err(Error::Connect { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// The run that this command is part of; `None` for a person.
pub(super) fn generation(context: &Context) -> Option<String> {
    context.environment.get(GENERATION_VARIABLE).cloned()
}

/// The process that the directory names as its supervisor; it may be long gone.
pub(super) fn named_process(layout: &Layout) -> Option<u32> {
    address(layout).map(|address| address.pid)
}

fn address(layout: &Layout) -> Option<Address> {
    let bytes = RealDisk.read(&layout.supervisor_address(), ADDRESS_BYTES).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Takes the supervisor's place in a directory for as long as the lock is held, so that none starts meanwhile (I7).
pub(super) fn take_place(context: &Context, command: &str) -> Result<Locked, Failure> {
    let root = context.layout.root();
    match RealDisk.kind(root) {
        Ok(Some(_)) => {}
        Ok(None) => {
            let message = format!("{} does not exist: nothing was ever installed there", root.display());
            return Err(Failure::new(Exit::Local, message));
        }
        Err(error) => return Err(Failure::file(root, &error)),
    }
    supervisor::take_place(&context.layout).map_err(|error| match error {
        LockError::Held { path } => Failure::new(
            Exit::Temporary,
            format!(
                "a supervisor holds {}, but it can't be reached from here; ask inside its container: \
                 docker exec CONTAINER dockerloader {command}",
                path.display()
            ),
        ),
        LockError::Unusable { path, source } => Failure::file(&path, &source),
    })
}
