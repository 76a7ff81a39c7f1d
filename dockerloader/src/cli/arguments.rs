//! The command line. Help, completions and manual pages come from these definitions.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{CommandFactory as _, Parser, Subcommand};

use super::exit;
use crate::digest::Digest;

pub(super) const SETTINGS: &str = "\
Settings (environment):
  DOCKERLOADER_TARGET                image to follow, for example registry.example/app:stable
  DOCKERLOADER_DATA_DIR              where everything is kept [/data]
  DOCKERLOADER_TRIAL_TIMEOUT_MS      how long a trial may last [10000]
  DOCKERLOADER_UPDATE_INTERVAL_SECS  time between two looks at the registry [300]
  DOCKERLOADER_ON_TRIAL_FAILURE      rollback, or exit with the trial's code [rollback]
  DOCKERLOADER_STOP_GRACE_MS         from SIGTERM to SIGKILL [8000]
  DOCKERLOADER_PROBATION_SECS        how long a new version is watched after its trial [600]
  DOCKERLOADER_POLL                  whether the supervisor looks by itself: auto, always, never [auto]
  DOCKERLOADER_TREE_METHOD           auto, overlay, snapshot, reflink, copy, or extract: from the layers alone [auto]
  DOCKERLOADER_MIRRORS               registry=mirror[/prefix], comma-separated
  DOCKERLOADER_INSECURE_REGISTRIES   hosts that may be asked over plain HTTP, comma-separated
  DOCKERLOADER_CA_FILE               PEM certificates to trust besides the system's
  DOCKERLOADER_PLATFORM              os/architecture[/variant] instead of this machine's
  DOCKERLOADER_REGISTRY_TIMEOUT_MS   how long a registry may be silent [30000]
  DOCKERLOADER_LOG                   off, error, warn, info, debug, trace [info]
  DOCKERLOADER_LOG_FORMAT            text or json [text]
  DOCKER_CONFIG                      directory of Docker's config.json [$HOME/.docker]
";

/// Run an application from an OCI image, keep it updated, and always come back
///
/// Without a command it is the supervisor: it installs the image that DOCKERLOADER_TARGET names, runs its entrypoint, tries each newer
/// version on trial, and goes back to the last good one when a trial fails.
#[derive(Debug, Parser)]
#[command(name = "dockerloader", version, max_term_width = 110)]
#[command(after_help = "`dockerloader --help` lists the settings and the exit codes.")]
#[command(after_long_help = after_long_help())]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// A command; none is to supervise.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Tell what runs, since when, what is next, and what was rejected and why
    Status {
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Download what the target names and extract it
    Pull {
        /// Have it tried at the application's next start
        #[arg(long)]
        stage: bool,
        /// Try again what was refused, or filled the disk, at the last look; always so without --json
        #[arg(long)]
        again: bool,
        /// Restore what is damaged of the installed versions instead
        #[arg(long, conflicts_with_all = ["stage", "again"])]
        repair: bool,
        /// One JSON object a line; the last is the result
        #[arg(long)]
        json: bool,
    },
    /// Make one version anew, from its blobs on disk or else from the registry
    Restore {
        /// Its digest
        digest: Digest,
        /// Only from its blobs on disk
        #[arg(long)]
        offline: bool,
        /// One JSON object a line; the last is the result
        #[arg(long)]
        json: bool,
    },
    /// Compare the extracted versions with what was extracted, and repair them
    Verify {
        /// Read every file and blob, rather than only sizes, modes and times
        #[arg(long)]
        full: bool,
        /// Read everything, and repair what is damaged: from the blobs on disk, or else from the registry
        #[arg(long)]
        repair: bool,
        /// Repair only with what is on disk
        #[arg(long, requires = "repair")]
        offline: bool,
        /// What the supervisor asks for
        #[arg(long, hide = true, requires = "repair")]
        supervised: Option<Supervised>,
        /// Only this version: its digest, or the first digits of it
        digest: Option<DigestPrefix>,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Go back to the previous version, or end the trial, and reject what ran
    Rollback {
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Let a rejected version be tried again
    Forget {
        /// Its digest, or the first digits of it
        digest: DigestPrefix,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Delete what no version needs any more
    Gc {
        /// The spare tree too, from which the next version would be made
        #[arg(long)]
        all: bool,
        /// Only tell what would be deleted
        #[arg(long)]
        dry_run: bool,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Say that the running version works: ends its trial (for applications in any language)
    Ready {
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Ask for a longer trial (for applications in any language)
    Extend {
        /// How long the trial may last from now on, in milliseconds
        milliseconds: u64,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Look for a newer version and stage it; exits with 42 if one is staged
    #[command(long_about = "Look for a newer version and stage it\n\n\
        Exits with 42 if one is staged, so that an application in shell can say: dockerloader check || exit $?")]
    Check {
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Run the current version's own command line: its entrypoint with `cli` and these arguments
    #[command(disable_help_flag = true)]
    Cli {
        /// Arguments for the application
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
    /// Print a completion script
    #[command(hide = true)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages
    #[command(hide = true)]
    Man {
        /// An existing directory
        directory: PathBuf,
    },
}

/// When the supervisor has versions looked at. What a program wrote on purpose is left as it is then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Supervised {
    /// Before one is started: quickly, and its tree alone.
    Start,
    /// While one runs.
    Background,
}

/// The definitions, for completions and manual pages.
pub(super) fn definitions() -> clap::Command {
    Arguments::command()
}

fn after_long_help() -> String {
    format!(
        "{SETTINGS}\nExit codes of the commands:\n{}\nThe supervisor ends with the application's own code.",
        exit::help()
    )
}

/// The beginning of a digest, as people type it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestPrefix(String);

/// Why a prefix names no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// Too short, too long, or other characters.
    #[error("a digest is sha256: and 64 hex digits, of which the first 4 or more will do")]
    Malformed,
    /// No version begins so.
    #[error("no version that is known here begins with {0}; `dockerloader status` lists them")]
    Unknown(String),
    /// More than one does.
    #[error("{0} is the beginning of {1} versions; give more digits")]
    Ambiguous(String, usize),
}

impl FromStr for DigestPrefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text).to_ascii_lowercase();
        if (4..=64).contains(&hex.len()) && hex.chars().all(|c| c.is_ascii_hexdigit()) {
            Ok(Self(hex))
        } else {
            Err(PrefixError::Malformed)
        }
    }
}

impl DigestPrefix {
    /// The one of `known` that begins so. A whole digest needs not be known.
    ///
    /// # Errors
    /// None does, or several do.
    pub fn resolve(&self, known: impl IntoIterator<Item = Digest>) -> Result<Digest, PrefixError> {
        if let Ok(whole) = format!("sha256:{}", self.0).parse() {
            return Ok(whole);
        }
        let mut found: Vec<_> =
            known.into_iter().filter(|digest| digest.hex().starts_with(&self.0)).collect();
        found.sort_unstable();
        found.dedup();
        match found[..] {
            [] => Err(PrefixError::Unknown(self.0.clone())),
            [digest] => Ok(digest),
            [..] => Err(PrefixError::Ambiguous(self.0.clone(), found.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        definitions().debug_assert();
    }

    #[test]
    fn help_names_every_setting_and_every_exit_code() {
        let help = definitions().render_long_help().to_string();
        let config = include_str!("../config.rs");
        for line in config
            .lines()
            .filter_map(|line| line.trim().strip_prefix("/// `"))
            .filter(|line| line.starts_with("DOCKER"))
        {
            let (name, _) = line.split_once('`').unwrap();
            assert!(help.contains(name), "{name}");
        }
        for exit in exit::Exit::ALL {
            assert!(help.contains(&format!("{:>3}  ", exit.code())), "{exit:?}");
        }
    }

    #[test]
    fn everything_after_cli_is_the_applications() {
        let arguments = Arguments::parse_from(["dockerloader", "cli", "--help", "-x", "cli", "--", "y"]);
        let Some(Command::Cli { arguments }) = arguments.command else { panic!("{arguments:?}") };
        assert_eq!(arguments, ["--help", "-x", "cli", "--", "y"]);
    }

    #[test]
    fn the_first_digits_of_a_digest_will_do() {
        let digest = |byte| Digest::from_bytes([byte; 32]);
        let mut other = [0xab; 32];
        other[31] = 0;
        let known = [digest(0xab), Digest::from_bytes(other), digest(0xcd), digest(0xcd)];
        let resolve = |text: &str| text.parse::<DigestPrefix>().and_then(|prefix| prefix.resolve(known));
        assert_eq!(resolve("cdcd"), Ok(digest(0xcd)));
        assert_eq!(resolve("sha256:CDCDCD"), Ok(digest(0xcd)));
        assert_eq!(resolve(&digest(1).to_string()), Ok(digest(1)));
        assert_eq!(resolve("abab"), Err(PrefixError::Ambiguous("abab".into(), 2)));
        assert_eq!(resolve("1234"), Err(PrefixError::Unknown("1234".into())));
        for malformed in ["", "cdc", "sha512:cdcd", "wxyz", &"a".repeat(65)] {
            assert_eq!(resolve(malformed), Err(PrefixError::Malformed), "{malformed}");
        }
    }
}
