//! The token by which who asks over TCP is known.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use dockerloader::disk::{Disk as _, RealDisk};
use sha2::{Digest as _, Sha256};

/// Bytes of randomness in a token that is made here.
const BYTES: usize = 32;
/// Characters of a token, at least: fewer could be guessed.
const SHORTEST: usize = 16;
/// Bytes of a token's file, at most.
const LONGEST: u64 = 4096;

/// The token; what is kept of it is a hash.
#[derive(Clone)]
pub struct Token([u8; 32]);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Its file can't be read or made.
    #[error("the token's file {}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What is in the file is no token.
    #[error(
        "the token's file {} must hold one line of {SHORTEST} visible ASCII characters or more; remove the file, and a new token is made",
        .path.display()
    )]
    Unfit {
        /// The file.
        path: PathBuf,
    },
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Token {
    /// The token in a file. Where there is no file one is made, that only its owner can read.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn open(path: &Path) -> Result<Self, TokenError> {
        let failed = |source| TokenError::File { path: path.to_owned(), source };
        if RealDisk.kind(path).map_err(failed)?.is_none() {
            let text = make().map_err(failed)?;
            if let Some(directory) = path.parent() {
                RealDisk.create_directories(directory).map_err(failed)?;
            }
            RealDisk.write_new(path, format!("{text}\n").as_bytes()).map_err(failed)?;
            return Ok(Self::new(&text));
        }
        // Secrets are often mounted as links, which are followed.
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
        read.map_err(failed)?;
        let text = text.trim();
        let is_fit = text.len() >= SHORTEST && text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_fit { Ok(Self::new(text)) } else { Err(TokenError::Unfit { path: path.to_owned() }) }
    }

    /// This token.
    pub fn new(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// Whether that is it. How long that takes says nothing about the token.
    pub fn is(&self, text: &str) -> bool {
        let other: [u8; 32] = Sha256::digest(text).into();
        let differences = self.0.iter().zip(other).fold(0, |found, (own, other)| found | (own ^ other));
        std::hint::black_box(differences) == 0
    }
}

fn make() -> io::Result<String> {
    let mut bytes = [0; BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "these tests make files")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_token_is_made_once_and_only_its_owner_can_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("below/token");
        let made = Token::open(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.trim().len(), 64);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = Token::open(&path).unwrap();
        assert!(made.is(text.trim()) && read.is(text.trim()));
        assert!(!read.is("") && !read.is(&text) && !read.is(&text.trim()[1..]));
        assert!(!format!("{read:?}").contains(&text.trim()[..8]));
        std::fs::remove_file(&path).unwrap();
        assert!(!Token::open(&path).unwrap().is(text.trim()), "the next one is another");
    }

    #[test]
    fn what_could_be_guessed_or_not_be_sent_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        for bad in [
            "",
            "\n",
            "short",
            "a token with spaces in it",
            "ein-Schlüssel-mit-Umlaut",
            "two-lines-in-it-are\ntwo-tokens-of-it",
        ] {
            std::fs::write(&path, bad).unwrap();
            let error = Token::open(&path).unwrap_err().to_string();
            assert!(
                error.contains("token") && (bad.trim().is_empty() || !error.contains(bad.trim())),
                "{error}"
            );
        }
        std::fs::write(&path, "0123456789abcdef\n").unwrap();
        assert!(Token::open(&path).unwrap().is("0123456789abcdef"));
    }
}
