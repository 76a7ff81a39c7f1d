//! File systems that only a test and its programs see, and that vanish with it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A mount namespace, held by a process that sleeps.
pub(crate) struct Mounts {
    holder: Child,
}

impl Drop for Mounts {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

impl Mounts {
    /// Runs a shell command, which mounts, in a namespace of its own.
    pub(crate) fn new(mount: &str) -> Self {
        let mut command = Command::new("unshare");
        if !is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        let mut holder = command
            .args(["--mount", "--propagation", "private", "sh", "-ec"])
            .arg(format!("{mount}\necho mounted\nexec sleep 1000"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "mounted\n", "{mount}");
        Self { holder }
    }

    /// A path inside, from outside.
    pub(crate) fn view(&self, path: &Path) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.holder.id(), path.display()))
    }

    /// What is put before a command to run it inside.
    pub(crate) fn wrapper(&self) -> Vec<String> {
        let mut words = vec!["nsenter".to_owned()];
        if !is_root() {
            words.push(format!("--user=/proc/{}/ns/user", self.holder.id()));
            words.push("--preserve-credentials".to_owned());
        }
        words.push(format!("--mount=/proc/{}/ns/mnt", self.holder.id()));
        words
    }

    /// Runs a shell command inside.
    pub(crate) fn run(&self, script: &str) {
        let words = self.wrapper();
        let status = Command::new(&words[0]).args(&words[1..]).args(["sh", "-ec", script]).status().unwrap();
        assert!(status.success(), "{script}");
    }
}

/// Takes all the room that is left on the file system of this directory. Removed by [`free`].
pub(crate) fn fill(directory: &Path) {
    let mut file = std::fs::File::create(directory.join("ballast")).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
}

pub(crate) fn free(directory: &Path) {
    std::fs::remove_file(directory.join("ballast")).unwrap();
}
