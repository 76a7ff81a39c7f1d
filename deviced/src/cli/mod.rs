//! The command line.

mod arguments;
mod check;

use std::process::ExitCode;

use clap::Parser as _;

pub use arguments::{Arguments, Command};

/// What the process goes on to be.
#[derive(Debug)]
pub enum Next {
    /// The device manager.
    Run,
    /// Nothing: it ends with this.
    End(ExitCode),
}

/// Does what the command line asks for, unless that is to run. `docker exec DEVICE cli ...` arrives as `deviced cli ...`.
pub fn run(arguments: impl Iterator<Item = std::ffi::OsString>) -> Next {
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
            return Next::End(ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2)));
        }
    };
    match arguments.command {
        None | Some(Command::Run) => Next::Run,
        Some(Command::Check(check)) => Next::End(check::check(&check)),
        Some(Command::Schema) => Next::End(check::print_schema()),
    }
}
