//! deviced: brings the local Docker daemon to a declared state, and updates itself as a dockerloaded application.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use deviced::cli::{self, Next};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    match cli::run(std::env::args_os()) {
        Next::Run => start(),
        Next::End(code) => code,
    }
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
