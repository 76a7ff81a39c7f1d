//! deviced: brings the local Docker daemon to a declared state, and updates itself as a dockerloaded application.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

const HELP: &str = "\
Device manager that brings the local Docker daemon to a declared state

Usage: deviced [OPTION]

Options:
  -h, --help     Print this help
  -V, --version  Print the version

Under dockerloader it updates itself: DOCKERLOADER_TARGET names its image, and
DOCKERLOADER_UPDATE_INTERVAL_SECS (300) says how often it looks for a newer one.
SIGTERM and SIGINT end it.
";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Run,
    Help,
    Version,
}

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    match parse(arguments) {
        Ok(Command::Help) => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Ok(Command::Version) => {
            println!("deviced {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Ok(Command::Run) => start(),
        Err(unknown) => {
            eprintln!("deviced: unknown argument {unknown:?}; --help lists what there is");
            ExitCode::from(2)
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let command = match arguments.next().as_deref() {
        None => Command::Run,
        Some("-h" | "--help") => Command::Help,
        // `docker exec DEVICE cli` arrives as `deviced cli ...`.
        Some("-V" | "--version" | "cli") => Command::Version,
        Some(other) => return Err(other.to_owned()),
    };
    arguments.next().map_or(Ok(command), Err)
}

fn start() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_max_level(tracing::Level::INFO)
        .init();
    // One thread until .env is loaded: setting a variable beside a reader in C is a race.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run()) {
        Ok(End::Stopped) => ExitCode::SUCCESS,
        Ok(End::Replaced) => dockerloader::restart(),
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Why the device manager ended well.
enum End {
    Stopped,
    Replaced,
}

async fn run() -> Result<End, Box<dyn std::error::Error>> {
    dockerloader::init_dockerloaded().await?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut updates = dockerloader::watch_updates().await?;
    tracing::info!(
        event = "start",
        version = env!("CARGO_PKG_VERSION"),
        trial = dockerloader::is_trial(),
        "deviced starts"
    );
    let readiness = dockerloader::mark_ready().await?;
    tracing::info!(event = "ready", "ready: {readiness:?}");
    tokio::select! {
        _ = terminate.recv() => tracing::info!(event = "stop", "SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!(event = "stop", "SIGINT: stopping"),
        digest = updates.staged() => {
            tracing::info!(event = "restart", %digest, "making way for {digest}");
            return Ok(End::Replaced);
        }
    }
    Ok(End::Stopped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_strict() {
        let parsed = |arguments: &[&str]| parse(arguments.iter().map(|text| (*text).to_owned()));
        assert_eq!(parsed(&[]), Ok(Command::Run));
        assert_eq!(parsed(&["--help"]), Ok(Command::Help));
        assert_eq!(parsed(&["-V"]), Ok(Command::Version));
        assert_eq!(parsed(&["--versio"]), Err("--versio".to_owned()));
        assert_eq!(parsed(&["--version", "x"]), Err("x".to_owned()));
    }
}
