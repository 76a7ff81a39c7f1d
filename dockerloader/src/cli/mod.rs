//! The commands of the binary: what a person or a script asks of a data directory and its supervisor.
//!
//! Each command is one function that returns how the process ends; `arguments` defines them, `exit` lists the codes.

pub mod arguments;

pub mod exit;

pub mod text;

mod failure;

mod output;

mod live;

mod slots;

mod asks;

mod current;

mod documents;

mod progress;

mod verify;

mod pull;

mod repair;

mod heal;

mod gc;

use std::ffi::OsString;
use std::path::Path;

use clap::Parser as _;

use self::arguments::{Arguments, Command};
use self::failure::Failure;
use crate::config::{Environment, Settings};
use crate::defect;
use crate::layout::Layout;
use crate::logging;

/// What every command knows.
struct Context {
    environment: Environment,
    settings: Settings,
    layout: Layout,
}

/// The whole program: parses the arguments, does what they say, and returns the exit code.
pub fn run(arguments: Vec<OsString>) -> i32 {
    let command = match parse(arguments) {
        Ok(command) => command,
        Err(error) => {
            // Help and version go to stdout, complaints to stderr.
            let _ = error.print();
            return error.exit_code();
        }
    };
    // What is not UTF-8 is no setting of ours; the application gets it all the same.
    let environment: Environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let settings = match Settings::parse(&environment) {
        Ok(settings) => settings,
        Err(error) => return Failure::from(error).report(),
    };
    logging::start(&settings);
    defect::on_panic(|| {});
    let layout = Layout::new(&settings.data_dir);
    let context = Context { environment, settings, layout };
    match perform(command, &context) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

/// Process 1 has no arguments, and so never builds the definitions.
fn parse(arguments: Vec<OsString>) -> Result<Option<Command>, clap::Error> {
    match arguments.split_first() {
        // `docker exec CONTAINER cli ...`, where /bin/cli is a link to this program.
        Some((name, rest)) if Path::new(name).file_name() == Some("cli".as_ref()) => {
            Ok(Some(Command::Cli { arguments: rest.to_vec() }))
        }
        None | Some((_, [])) => Ok(None),
        Some(_) => Arguments::try_parse_from(arguments).map(|arguments| arguments.command),
    }
}

fn perform(command: Option<Command>, context: &Context) -> Result<i32, Failure> {
    let exit = match command {
        None => return supervise(context),
        Some(Command::Status { json }) => slots::status(context, json)?,
        Some(Command::Rollback { json }) => slots::rollback(context, json)?,
        Some(Command::Forget { digest, json }) => slots::forget(context, &digest, json)?,
        Some(Command::Ready { json }) => asks::ready(context, json)?,
        Some(Command::Extend { milliseconds, json }) => asks::extend(context, milliseconds, json)?,
        Some(Command::Check { json }) => asks::check(context, json)?,
        Some(Command::Cli { arguments }) => current::run(context, &arguments)?,
        Some(Command::Completions { shell }) => documents::completions(shell)?,
        Some(Command::Man { directory }) => documents::manual(&directory)?,
        Some(Command::Verify { full, repair: true, offline, supervised, digest, json }) => {
            let prefix = digest.as_ref();
            heal::run(context, heal::Wish { full, offline, is_pull: false, supervised, prefix, json })?
        }
        Some(Command::Verify { full, digest, json, .. }) => {
            verify::run(context, full, digest.as_ref(), json)?
        }
        Some(Command::Pull { repair: true, json, .. }) => heal::run(
            context,
            heal::Wish { full: true, offline: false, is_pull: true, supervised: None, prefix: None, json },
        )?,
        Some(Command::Pull { stage, again, json, .. }) => pull::run(context, stage, again || !json, json)?,
        Some(Command::Restore { digest, offline, json }) => pull::restore(context, digest, offline, json)?,
        Some(Command::Gc { all, dry_run, json }) => gc::run(context, all, dry_run, json)?,
    };
    Ok(exit.code())
}

fn supervise(context: &Context) -> Result<i32, Failure> {
    Ok(crate::supervisor::run(&context.settings, &context.environment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_cli_is_the_command_cli() {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        for name in ["cli", "/bin/cli", "./cli"] {
            let parsed = parse(words(&[name, "--version"])).unwrap();
            assert!(
                matches!(parsed, Some(Command::Cli { arguments }) if arguments == ["--version"]),
                "{name}"
            );
        }
        assert!(parse(words(&["/dockerloader"])).unwrap().is_none(), "no argument: supervise");
        assert!(parse(Vec::new()).unwrap().is_none());
        assert_eq!(
            parse(words(&["dockerloader", "statsu"])).unwrap_err().exit_code(),
            exit::Exit::Usage.code()
        );
    }
}
