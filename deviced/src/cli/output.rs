//! Standard output, and what is known of the terminal behind it.

use std::io::{self, IsTerminal as _, Write as _};

use dockerloader::clock;
use jiff::tz::TimeZone;

use super::exit::Exit;
use super::failure::{Failure, Result};
use super::text::View;

/// How text is shown on standard output: colours where that is a terminal and `NO_COLOR` is unset or empty (no-color.org).
pub(super) fn view() -> View {
    let terminal = io::stdout().is_terminal();
    View {
        width: terminal.then(columns).flatten(),
        colours: terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        now: i64::try_from(clock::unix_seconds()).unwrap_or(i64::MAX),
        zone: TimeZone::system(),
    }
}

/// Columns of the terminal; one that says 0 does not know.
fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Writes to standard output. A pipe that is closed early, as by `head`, is where the command ends.
pub(super) fn print(text: &str) -> Result<()> {
    bytes(text.as_bytes())
}

/// Writes what the API said, as a line.
pub(super) fn json(body: &[u8]) -> Result<()> {
    bytes(body.strip_suffix(b"\n").unwrap_or(body))?;
    bytes(b"\n")
}

fn bytes(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::silent(Exit::Done),
        _ => Failure::new(Exit::File, format!("standard output: {error}")),
    })
}
