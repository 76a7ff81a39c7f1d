//! What can be asked for. Help, completions and manual pages come from these definitions.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use super::exit;
use crate::document::quantity::Span;

/// What the settings are, for `--help` and the manual page.
pub(super) const SETTINGS: &str = "\
Settings (environment):
  DEVICED_DATA_DIR    the history, and what else outlives a restart [/data/deviced]
  DEVICED_DOCUMENT    the document's file [device.yaml in the data directory]
  DEVICED_SOCKET      the API's Unix socket [/run/deviced/deviced.sock]
  DEVICED_LISTEN      the API on loopback too, such as 127.0.0.1:7788 [off]
  DEVICED_TOKEN_FILE  the token for that [token in the data directory]
  DOCKER_HOST         the engine's socket [unix:///var/run/docker.sock]
  DOCKER_CONFIG       directory of Docker's config.json, with credentials [$HOME/.docker]
  DEVICED_INSTANCE    whose containers are its own, where several share an engine [deviced]
  DEVICED_LOG         off, error, warn, info, debug, trace [info]
  DEVICED_LOG_FORMAT  text or json [text]
";

const START: &str = "\
Start here:
  deviced check device.yaml     is the document right?
  deviced plan device.yaml      what would it change?
  deviced apply device.yaml     do it, and follow
  deviced status                what runs, and what is wrong
  deviced why web               why is web not at its newest version?
";

/// Brings the local Docker daemon to the state that a document declares, and keeps it there
///
/// `deviced run` is the device manager; all other commands ask the one that runs, over its Unix socket. Under dockerloader it updates
/// itself: DOCKERLOADER_TARGET names its image. SIGTERM and SIGINT end it; containers go on running.
#[derive(Debug, Parser)]
#[command(name = "deviced", version, max_term_width = 110)]
#[command(after_help = short_help(), after_long_help = long_help())]
pub struct Arguments {
    /// Without a command: run.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Where the device manager is.
    #[command(flatten)]
    pub connection: Connection,
}

/// Where the device manager is.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Which deviced")]
pub struct Connection {
    /// Its Unix socket [default: DEVICED_SOCKET, else /run/deviced/deviced.sock]
    #[arg(long, value_name = "PATH", global = true, conflicts_with = "url")]
    pub socket: Option<PathBuf>,
    /// Its loopback address, such as http://127.0.0.1:7788; DEVICED_TOKEN_FILE names the file with the token
    #[arg(long, value_name = "URL", global = true)]
    pub url: Option<String>,
}

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the device manager
    Run,
    /// Say whether a document is right: everything that is wrong, with line and column, and what to do
    #[command(after_help = examples(&["deviced check device.yaml", "deviced check --json - < device.yaml"]))]
    Check(Check),
    /// Print the JSON Schema of documents
    #[command(after_help = examples(&["deviced schema > deviced-v1.json"]))]
    Schema,
    /// Say what would be done, for the document in force or for another one
    #[command(after_help = examples(&[
        "deviced plan",
        "deviced plan device.yaml",
        "deviced plan --exit-code device.yaml || echo it would change something",
    ]))]
    Plan(Plan),
    /// Put a document in force, and follow until everything is as it says
    #[command(after_help = examples(&[
        "deviced apply device.yaml",
        "deviced apply --no-wait device.yaml",
        "deviced apply --remove-all empty.yaml   # all containers may go",
    ]))]
    Apply(Apply),
    /// Show what runs and what is wrong; with an id, one container in full
    #[command(after_help = examples(&["deviced status", "deviced status web", "watch --color deviced status"]))]
    Status(Status),
    /// Say why a container is as it is: what was passed over, who judged what, and when is looked again
    #[command(after_help = examples(&["deviced why web"]))]
    Why(One),
    /// Show what a container writes
    #[command(after_help = examples(&[
        "deviced logs web",
        "deviced logs -f web                # and what comes, over restarts of deviced and updates of web",
        "deviced logs --since 10m -t web",
    ]))]
    Logs(Logs),
    /// Start containers, also those that were stopped by hand
    #[command(after_help = examples(&["deviced start web", "deviced start web camera"]))]
    Start(Act),
    /// Stop containers; they stay stopped until `start`
    #[command(after_help = examples(&["deviced stop web"]))]
    Stop(Act),
    /// Stop and start containers
    #[command(after_help = examples(&["deviced restart web"]))]
    Restart(Act),
    /// Ask the registries now, and take a better version without waiting for its window or age
    #[command(after_help = examples(&["deviced update web", "deviced update --no-wait web"]))]
    Update(Act),
    /// Go back to a kept version, and stay there until `release`
    #[command(after_help = examples(&[
        "deviced history web          # which there are",
        "deviced rollback web         # to the one before",
        "deviced rollback web --to 7",
    ]))]
    Rollback(Rollback),
    /// Follow the document again after a rollback
    #[command(after_help = examples(&["deviced release web"]))]
    Release(Act),
    /// Leave containers alone: neither started nor updated nor repaired, until `resume`
    #[command(after_help = examples(&["deviced pause web"]))]
    Pause(Act),
    /// Look after containers again
    #[command(after_help = examples(&["deviced resume web"]))]
    Resume(Act),
    /// Follow a tag instead of the document's versions
    #[command(after_help = examples(&[
        "deviced tag web              # which one it follows",
        "deviced tag web 2.2-beta",
        "deviced tag web --document   # the document's versions again",
    ]))]
    Tag(Tag),
    /// Change how a container is run, over the document
    #[command(after_help = examples(&[
        "deviced arguments web",
        "deviced arguments web set '{\"environment\": {\"LEVEL\": \"debug\"}}'",
        "deviced arguments web set - < change.json",
        "deviced arguments web --document   # the document's again",
    ]))]
    Arguments(Options),
    /// Show which versions a container ran, when, and what became of them
    #[command(after_help = examples(&["deviced history web"]))]
    History(One),
    /// Forget that a version failed, so that it may be tried again
    #[command(after_help = examples(&[
        "deviced forget web           # all verdicts on versions of web",
        "deviced forget web 3f2a91c04b77",
    ]))]
    Forget(Forget),
    /// Show the registries, the closest first
    #[command(after_help = examples(&["deviced registries"]))]
    Registries(Show),
    /// Show what happened on the device
    #[command(after_help = examples(&["deviced events", "deviced events -f --json"]))]
    Events(Events),
    /// Print a completion script for a shell
    #[command(after_help = examples(&[
        "deviced completion bash > /etc/bash_completion.d/deviced",
        "deviced completion zsh > \"${fpath[1]}/_deviced\"",
    ]))]
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages
    #[command(after_help = examples(&["deviced man /usr/local/share/man/man1"]))]
    Man {
        /// An existing directory
        directory: PathBuf,
    },
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

/// `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// A document, YAML or JSON; `-` for standard input; the one in force without it
    pub file: Option<PathBuf>,
    /// End with 10 if something would be changed
    #[arg(long)]
    pub exit_code: bool,
    /// Print what the API says
    #[arg(long)]
    pub json: bool,
}

/// `apply`.
#[derive(Debug, Args)]
pub struct Apply {
    /// The document, YAML or JSON; `-` for standard input
    pub file: PathBuf,
    /// It may name none of the containers that run now: all of them are removed
    #[arg(long)]
    pub remove_all: bool,
    /// How it is waited for.
    #[command(flatten)]
    pub wait: Wait,
    /// Print what the API says, one object a line: the answer, and each change of an operation
    #[arg(long)]
    pub json: bool,
}

/// How something that takes time is waited for.
#[derive(Debug, Clone, Args)]
pub struct Wait {
    /// Don't follow what is done
    #[arg(long)]
    pub no_wait: bool,
    /// Stop following after this time (75); what is done goes on
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = Span::read)]
    pub timeout: Span,
}

/// `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// A container of the document
    pub id: Option<String>,
    /// Print what the API says
    #[arg(long)]
    pub json: bool,
}

/// What is shown of one container.
#[derive(Debug, Args)]
pub struct One {
    /// A container of the document
    pub id: String,
    /// Print what the API says
    #[arg(long)]
    pub json: bool,
}

/// What is shown of the device.
#[derive(Debug, Args)]
pub struct Show {
    /// Print what the API says
    #[arg(long)]
    pub json: bool,
}

/// `logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// A container of the document
    pub id: String,
    /// Go on with what is written from now on
    #[arg(short, long)]
    pub follow: bool,
    /// The last so many lines [default: 100, or all since the time that is given]
    #[arg(short = 'n', long, value_name = "LINES")]
    pub tail: Option<u32>,
    /// From this time on: how long ago, such as 10m, or a date, such as 2026-01-31T23:00:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Show when each line was written
    #[arg(short, long)]
    pub timestamps: bool,
    /// Print what the API says, one object a line
    #[arg(long)]
    pub json: bool,
}

/// Something that is done to containers.
#[derive(Debug, Args)]
pub struct Act {
    /// Containers of the document
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
    /// How it is waited for.
    #[command(flatten)]
    pub wait: Wait,
    /// Print what the API says, one object a line
    #[arg(long)]
    pub json: bool,
}

/// `rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    /// A container of the document
    pub id: String,
    /// The number of a version in its history; the one before without it
    #[arg(long, value_name = "NUMBER")]
    pub to: Option<i64>,
    /// How it is waited for.
    #[command(flatten)]
    pub wait: Wait,
    /// Print what the API says, one object a line
    #[arg(long)]
    pub json: bool,
}

/// `tag`.
#[derive(Debug, Args)]
pub struct Tag {
    /// A container of the document
    pub id: String,
    /// The tag to follow; without it the one that is followed is shown
    pub tag: Option<String>,
    /// Follow the document's versions again
    #[arg(long, conflicts_with = "tag")]
    pub document: bool,
    /// How it is waited for.
    #[command(flatten)]
    pub wait: Wait,
    /// Print what the API says, one object a line
    #[arg(long)]
    pub json: bool,
}

/// `arguments`.
#[derive(Debug, Args)]
pub struct Options {
    /// A container of the document
    pub id: String,
    /// `show` without it
    #[arg(requires_if("set", "change"))]
    pub what: Option<ShowOrSet>,
    /// With `set`: a JSON merge patch (RFC 7396) of the document's `run`, null taking a member away; `-` for standard input
    #[arg(value_name = "JSON")]
    pub change: Option<String>,
    /// Run it as the document says again
    #[arg(long, conflicts_with = "what")]
    pub document: bool,
    /// How it is waited for.
    #[command(flatten)]
    pub wait: Wait,
    /// Print what the API says, one object a line
    #[arg(long)]
    pub json: bool,
}

/// What is done with run options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ShowOrSet {
    /// Show the document's, what was changed, and what comes of it.
    Show,
    /// Change them.
    Set,
}

/// `forget`.
#[derive(Debug, Args)]
pub struct Forget {
    /// A container of the document
    pub id: String,
    /// The digest of a version, or the first digits of it; all without it
    pub digest: Option<String>,
    /// Print what the API says
    #[arg(long)]
    pub json: bool,
}

/// `events`.
#[derive(Debug, Args)]
pub struct Events {
    /// Go on with what happens from now on
    #[arg(short, long)]
    pub follow: bool,
    /// Print what the API says, one object a line
    #[arg(long)]
    pub json: bool,
}

/// The definitions, for completions and manual pages.
pub(super) fn definitions() -> clap::Command {
    Arguments::command()
}

fn examples(lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    format!("{}\n{lines}", if lines.lines().count() == 1 { "Example:" } else { "Examples:" })
}

fn short_help() -> String {
    format!(
        "{START}\n`deviced --help` lists the settings and the exit codes; `deviced COMMAND --help` has examples."
    )
}

fn long_help() -> String {
    format!("{START}\n{SETTINGS}\n{}", exit::help())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from([&["deviced"], words].concat())
    }

    #[test]
    fn the_command_line_is_consistent() {
        definitions().debug_assert();
    }

    #[test]
    fn the_command_line_is_strict() {
        assert!(parse(&[]).unwrap().command.is_none());
        for right in [
            &["check", "a.yaml", "--json"][..],
            &["plan"],
            &["plan", "--exit-code", "-"],
            &["apply", "a.yaml", "--timeout", "90s"],
            &["--socket", "/s", "status"],
            &["status", "web", "--socket", "/s"],
            &["logs", "-f", "-n", "0", "web"],
            &["stop", "web", "camera"],
            &["rollback", "web", "--to", "7"],
            &["tag", "web"],
            &["tag", "web", "--document"],
            &["arguments", "web"],
            &["arguments", "web", "show"],
            &["arguments", "web", "set", "{}"],
            &["arguments", "web", "--document"],
            &["completion", "bash"],
        ] {
            assert!(parse(right).is_ok(), "{right:?}: {:?}", parse(right).err());
        }
        for wrong in [
            &["--versio"][..],
            &["check"],
            &["run", "x"],
            &["stop"],
            &["apply", "a.yaml", "--timeout", "soon"],
            &["tag", "web", "2", "--document"],
            &["arguments", "web", "set"],
            &["arguments", "web", "set", "{}", "--document"],
            &["status", "--socket", "/s", "--url", "http://127.0.0.1:1"],
            &["rollback", "web", "7"],
        ] {
            assert_eq!(parse(wrong).unwrap_err().exit_code(), 2, "{wrong:?}");
        }
    }

    #[test]
    fn help_names_every_setting_and_every_exit_code() {
        let help = definitions().render_long_help().to_string();
        let settings = include_str!("../settings.rs");
        let named: Vec<_> = settings
            .lines()
            .filter_map(|line| line.trim().strip_prefix("/// `"))
            .filter_map(|line| line.split_once('`'))
            .map(|(name, _)| name)
            .filter(|name| name.starts_with("DEVICED_") || name.starts_with("DOCKER_"))
            .collect();
        assert_eq!(named.len(), 10, "{named:?}");
        for name in named {
            assert!(help.contains(&format!("  {name} ")), "{name}");
        }
        for exit in exit::Exit::ALL {
            assert!(help.contains(&format!("  {:>2}  ", exit.code())), "{exit:?}");
        }
    }

    #[test]
    fn every_command_has_an_example_that_is_understood() {
        for command in definitions().get_subcommands() {
            let name = command.get_name();
            let Some(help) = command.get_after_help() else {
                assert_eq!(name, "run");
                continue;
            };
            let help = help.to_string();
            let examples: Vec<_> = help
                .lines()
                .filter_map(|line| line.find("deviced ").and_then(|at| line.get(at..)))
                .map(|line| line.split(" #").next().unwrap().split(" <").next().unwrap())
                .map(|line| line.split(" >").next().unwrap().split(" ||").next().unwrap().trim())
                .collect();
            assert!(!examples.is_empty(), "{name}");
            for example in examples {
                let words = shell_words::split(example).unwrap();
                assert!(Arguments::try_parse_from(&words).is_ok(), "{example}");
            }
        }
    }
}
