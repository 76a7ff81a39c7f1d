//! Answers on stdout.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use super::exit::Exit;
use super::failure::Failure;
use super::text::Colours;

/// Writes text as it is. A reader that went away, as in `dockerloader status | head -1`, is fine.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().lock().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Local, format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// The value as one line of JSON, or the text as a line.
pub(super) fn answer(json: bool, value: &impl Serialize, text: &str) -> Result<(), Failure> {
    let line = if json {
        serde_json::to_string(value).map_err(|error| Failure::new(Exit::Internal, error.to_string()))?
    } else {
        text.to_owned()
    };
    print(&format!("{line}\n"))
}

/// Colours for stdout: on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
pub(super) fn colours() -> Colours {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if io::stdout().is_terminal() && !refused { Colours::On } else { Colours::Off }
}
