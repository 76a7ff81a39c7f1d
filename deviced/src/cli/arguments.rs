//! What can be asked for.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Device manager that brings the local Docker daemon to a declared state.
///
/// Under dockerloader it updates itself: DOCKERLOADER_TARGET names its image, and DOCKERLOADER_UPDATE_INTERVAL_SECS (300)
/// says how often it looks for a newer one. SIGTERM and SIGINT end it.
#[derive(Debug, Parser)]
#[command(name = "deviced", version, after_help = EXIT_CODES)]
pub struct Arguments {
    /// Without a command: run.
    #[command(subcommand)]
    pub command: Option<Command>,
}

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   the answer is no: the document is refused
  2   the command line can't be understood
  66  the file can't be read";

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the device manager
    Run,
    /// Say whether a document is right: everything that is wrong, with line and column, and what to do
    Check(Check),
    /// Print the JSON Schema of documents
    Schema,
}

/// `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The document, YAML or JSON; `-` for standard input
    pub file: PathBuf,
    /// Print what was found as JSON
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_command_line_is_strict() {
        let parse = |words: &[&str]| Arguments::try_parse_from([&["deviced"], words].concat());
        assert!(parse(&[]).unwrap().command.is_none());
        assert!(parse(&["check", "a.yaml", "--json"]).is_ok());
        for wrong in [&["--versio"][..], &["check"], &["run", "x"]] {
            assert_eq!(parse(wrong).unwrap_err().exit_code(), 2, "{wrong:?}");
        }
    }
}
