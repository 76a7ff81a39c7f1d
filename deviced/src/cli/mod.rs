//! The command line. All commands but `run`, `check` and those about the command line itself ask the deviced that runs.
//!
//! Each command is one function that returns how the process ends; `arguments` defines them, [`exit`] lists the codes, and what is
//! shown is made in `text`, which is pure.

mod arguments;
pub mod exit;

mod failure;

mod output;
mod read;

mod text;

mod address;
mod client;
mod problem;
mod sse;
mod stream;

mod check;
mod documents;

mod plan;
mod show;

mod following;
mod screen;

mod follow;

mod apply;

mod act;
mod options;

mod events;
mod logs;

use std::ffi::OsString;
use std::future::Future;
use std::process::ExitCode;

use clap::Parser as _;

pub use arguments::{Arguments, Command};

use address::Address;
use arguments::Connection;
use client::Client;
use exit::Exit;
use failure::{Failure, Result};

/// What the process goes on to be.
#[derive(Debug)]
pub enum Next {
    /// The device manager.
    Run,
    /// Nothing: it ends with this.
    End(ExitCode),
}

/// Does what the command line asks for, unless that is to run. `docker exec DEVICE cli ...` arrives as `deviced cli ...`.
pub fn run(arguments: impl Iterator<Item = OsString>) -> Next {
    let mut arguments: Vec<_> = arguments.collect();
    if arguments.get(1).is_some_and(|first| first == "cli") {
        arguments.remove(1);
        if arguments.len() == 1 {
            arguments.push("--help".into());
        }
    }
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help goes to standard output and ends well; what can't be understood ends with 2.
            let _ = error.print();
            return Next::End(ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage.code())));
        }
    };
    let Some(command) = arguments.command else { return Next::Run };
    match perform(command, &arguments.connection) {
        Ok(None) => Next::Run,
        Ok(Some(exit)) => Next::End(exit.into()),
        Err(failure) => Next::End(failure.report().into()),
    }
}

/// How the command ended; `None` for the one that goes on.
fn perform(command: Command, connection: &Connection) -> Result<Option<Exit>> {
    let client = || {
        let (socket, url) = (connection.socket.clone(), connection.url.as_deref());
        Address::find(socket, url, |name| std::env::var_os(name)).map(Client::new)
    };
    let exit = match command {
        Command::Run => return Ok(None),
        Command::Check(arguments) => check::check(&arguments),
        Command::Schema => check::print_schema(),
        Command::Completion { shell } => documents::completion(shell),
        Command::Man { directory } => documents::manual(&directory),
        Command::Plan(arguments) => wait(plan::plan(&client()?, &arguments)),
        Command::Apply(arguments) => wait(apply::apply(&client()?, &arguments)),
        Command::Status(arguments) => wait(show::status(&client()?, &arguments)),
        Command::Why(arguments) => wait(show::why(&client()?, &arguments)),
        Command::History(arguments) => wait(show::history(&client()?, &arguments)),
        Command::Registries(arguments) => wait(show::registries(&client()?, &arguments)),
        Command::Logs(arguments) => wait(logs::logs(&client()?, &arguments)),
        Command::Events(arguments) => wait(events::events(&client()?, &arguments)),
        Command::Start(arguments) => wait(act::act(&client()?, &arguments, act::START)),
        Command::Stop(arguments) => wait(act::act(&client()?, &arguments, act::STOP)),
        Command::Restart(arguments) => wait(act::act(&client()?, &arguments, act::RESTART)),
        Command::Update(arguments) => wait(act::act(&client()?, &arguments, act::UPDATE)),
        Command::Release(arguments) => wait(act::act(&client()?, &arguments, act::RELEASE)),
        Command::Pause(arguments) => wait(act::act(&client()?, &arguments, act::PAUSE)),
        Command::Resume(arguments) => wait(act::act(&client()?, &arguments, act::RESUME)),
        Command::Rollback(arguments) => wait(act::rollback(&client()?, &arguments)),
        Command::Tag(arguments) => wait(act::tag(&client()?, &arguments)),
        Command::Arguments(arguments) => wait(options::arguments(&client()?, &arguments)),
        Command::Forget(arguments) => wait(options::forget(&client()?, &arguments)),
    };
    exit.map(Some)
}

/// Waits for what a command asks.
fn wait(command: impl Future<Output = Result<Exit>>) -> Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::File, format!("cannot start: {error}")))?;
    runtime.block_on(command)
}
