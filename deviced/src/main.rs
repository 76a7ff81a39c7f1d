//! deviced: brings the local Docker daemon to a declared state, and updates itself as a dockerloaded application.

use std::process::ExitCode;

use deviced::cli::{self, Next};
use deviced::run::{End, run};

fn main() -> ExitCode {
    match cli::run(std::env::args_os()) {
        Next::Run => start(),
        Next::End(code) => code,
    }
}

fn start() -> ExitCode {
    // One thread until .env is loaded, and ever after: what takes long waits, and does not compute.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("deviced: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run()) {
        Ok(End::Stopped) => ExitCode::SUCCESS,
        Ok(End::Replaced) => dockerloader::restart(),
        Err(error) => {
            eprintln!("deviced: {error}");
            ExitCode::FAILURE
        }
    }
}
