//! Trouble for the unmodified binary: wrong clocks, a panic, a helper that raves. `preload/trouble.c` has the words.
#![expect(clippy::disallowed_methods, reason = "a test plants files and starts programs")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::programs::{installed, text};

/// The library, compiled, and the file that steers it.
#[derive(Debug)]
pub struct Preload {
    directory: tempfile::TempDir,
}

impl Preload {
    /// Compiles it; `None`, with a word, where there is no C compiler.
    ///
    /// # Panics
    /// When it can't be compiled.
    pub fn new() -> Option<Self> {
        let compiler = installed("cc")?;
        let directory = tempfile::Builder::new().prefix("preload-").tempdir().expect("a temporary directory");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("preload/trouble.c");
        let output = Command::new(compiler)
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .args([&directory.path().join("trouble.so"), &source])
            .output()
            .expect("the C compiler");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let preload = Self { directory };
        preload.say("");
        Some(preload)
    }

    fn library(&self) -> PathBuf {
        self.directory.path().join("trouble.so")
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("words")
    }

    /// Says what is wrong from now on, in all processes that run with it.
    ///
    /// # Panics
    /// When it can't be written.
    pub fn say(&self, words: &str) {
        let (new, file) = (self.directory.path().join("new"), self.file());
        std::fs::write(&new, words).expect("the words");
        std::fs::rename(new, file).expect("the words in their place");
    }

    /// Sets the wall clock that they see to these seconds since 1970.
    ///
    /// # Panics
    /// Before 1970.
    pub fn set_clock(&self, seconds: i64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs();
        self.say(&format!("offset={}", seconds - i64::try_from(now).expect("a clock before the end")));
    }

    /// What a process needs in its environment.
    pub fn environment(&self) -> [(String, String); 2] {
        let pair = |name: &str, path: PathBuf| (name.to_owned(), text(&path).to_owned());
        [pair("LD_PRELOAD", self.library()), pair("TROUBLE_FILE", self.file())]
    }
}
