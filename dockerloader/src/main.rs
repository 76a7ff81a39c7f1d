//! The binary: supervisor without arguments, and the commands.

fn main() {
    std::process::exit(dockerloader::cli::run(std::env::args_os().collect()));
}
