//! Reads documents, and other texts that a command is given.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::exit::Exit;
use super::failure::{Failure, Result};
use crate::document::MAX_BYTES;

/// A file, or standard input for `-`. At most one byte more than a document may have is read, so that what is too large is refused and
/// not read.
pub(super) fn text(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    let limit = MAX_BYTES as u64 + 1;
    let read = if path == Path::new("-") {
        io::stdin().take(limit).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::file(path, &error))?;
    String::from_utf8(bytes)
        .map_err(|_| Failure::new(Exit::File, format!("{}: not UTF-8 text", path.display())))
}
