//! What an application calls: a small client of the supervisor.
//!
//! ```no_run
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! dockerloader::init_dockerloaded().await?; // first of all: loads the image's .env
//! let mut updates = dockerloader::watch_updates().await?;
//! // ... open the database, bind the port: whatever must work before this version may stay ...
//! dockerloader::mark_ready().await?;
//! tokio::select! {
//!     () = async { /* the application */ } => {}
//!     _ = updates.staged() => dockerloader::restart(), // after a clean shutdown
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Without a supervisor (a developer's machine, a unit test) every call succeeds and does nothing; only [`status`] and
//! [`check_for_update`], which have nothing to answer, say so.
//!
//! # Who ends the process
//! A staged version is tried when the process exits with 42. One rule says who does that: **once [`watch_updates`] was
//! called, the application alone; until then, this library, as soon as a check answers that a version is staged.** The
//! checks are the one that [`mark_ready`] starts in the background and those of [`start_update_loop`]. So an application
//! that wants to finish its work first calls [`watch_updates`] before [`mark_ready`].

mod client;

pub(crate) mod dotenv;

mod error;

mod session;

mod ready;

mod updates;

pub use client::Client;
pub use error::Error;
pub use ready::{Readiness, extend_trial, is_trial, mark_ready};
pub use updates::{
    CheckOutcome, UpdateLoop, Updates, check_for_update, restart, start_update_loop, watch_updates,
};

use crate::control::Request;
use crate::status::Status;

/// Loads `.env` of the image root into the environment.
///
/// The image root is `DOCKERLOADER_IMAGE_ROOT`, which the supervisor sets, or else the extracted image that the running
/// executable is part of. A program that is in no such image has no `.env`; a missing file is fine too. Quotes, comments,
/// `export` and `${NAME}` are understood as `dotenvy` does. A variable that exists wins over the file, so what the
/// operator or the image's Env set stays; variables that are the supervisor's own are never taken from the file.
/// A file with an error sets nothing at all.
///
/// **Call it first**, before threads are started that read the environment in C code (name resolution, time zones): POSIX
/// knows no safe way to set a variable beside such a reader (see [`std::env::set_var`]).
///
/// # Errors
/// [`Error::DotenvRead`] and [`Error::DotenvSyntax`], the latter with the line's number; values are never quoted.
pub async fn init_dockerloaded() -> Result<(), Error> {
    let Some(root) = dotenv::image_root() else {
        tracing::debug!(event = "dotenv", "not started from an image: no .env");
        return Ok(());
    };
    dotenv::load(&root.join(".env"))
}

/// The arguments after `cli` if the program was started as `program cli ...`, which is how `dockerloader cli` starts it.
///
/// ```
/// if let Some(arguments) = dockerloader::is_cli_mode() {
///     // answer the operator and return, without mark_ready()
/// }
/// ```
pub fn is_cli_mode() -> Option<Vec<String>> {
    cli_arguments(std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()))
}

fn cli_arguments(mut arguments: impl Iterator<Item = String>) -> Option<Vec<String>> {
    (arguments.next()? == "cli").then(|| arguments.collect())
}

/// What runs, since when, what is next, what was rejected and why.
///
/// # Errors
/// [`Error::NotSupervised`], and those of the conversation with the supervisor.
pub async fn status() -> Result<Status, Error> {
    session::get()?.status().await
}

impl session::Session {
    async fn status(&self) -> Result<Status, Error> {
        let client = self.client.as_ref().ok_or(Error::NotSupervised)?;
        match client.ask(&Request::Status).await? {
            crate::control::Reply::Status(status) => Ok(*status),
            other => Err(Error::unexpected(&other)),
        }
    }
}

#[cfg(test)]
mod tests;
