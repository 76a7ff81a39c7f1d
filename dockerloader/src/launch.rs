//! How a version is started: written by the puller beside the tree, read by the supervisor and by `cli`.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::disk::Disk;
use crate::layout::Layout;

/// Largest launch file that is read, in bytes.
pub const LAUNCH_BYTES: u64 = 1 << 20;

/// What to execute for one version. Paths are inside its tree and have no leading slash.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// The program: `entrypoint`, or the one that the image config names (OCI image spec, config.md, "Entrypoint").
    pub program: String,
    /// Arguments after the program's name.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// The image config's Env, in its order. What the operator set wins over it.
    #[serde(default)]
    pub environment: Vec<(String, String)>,
    /// The image config's WorkingDir; `None` leaves the supervisor's.
    #[serde(default)]
    pub working_directory: Option<String>,
    /// The image config's StopSignal, as it stands there; `None` is SIGTERM.
    #[serde(default)]
    pub stop_signal: Option<String>,
}

/// Why a launch file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// It can't be read.
    #[error("launch file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not what the puller writes.
    #[error("launch file {path} is damaged ({problem}); `dockerloader pull` writes it anew")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl Launch {
    /// The program alone, as for a tree that another writer of the contract's paths extracted.
    pub fn of_program(program: &Path) -> Self {
        Self { program: program.to_string_lossy().into_owned(), ..Self::default() }
    }

    /// Parses a launch file.
    ///
    /// # Errors
    /// What is wrong with it: no JSON of this form, or a path that leaves the tree.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let launch: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        for path in [Some(&launch.program), launch.working_directory.as_ref()].into_iter().flatten() {
            let inside = !path.is_empty()
                && !path.contains('\0')
                && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
            if !inside {
                return Err(format!("{path:?} is no path inside a tree"));
            }
        }
        Ok(launch)
    }

    /// Reads the launch file of a version; `Ok(None)` when there is none.
    ///
    /// # Errors
    /// It is there and can't be used.
    pub fn read(
        disk: &(impl Disk + ?Sized),
        layout: &Layout,
        digest: &Digest,
    ) -> Result<Option<Self>, LaunchError> {
        let path = layout.launch(digest);
        match disk.read(&path, LAUNCH_BYTES) {
            Ok(bytes) => {
                Self::parse(&bytes).map(Some).map_err(|problem| LaunchError::Damaged { path, problem })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(LaunchError::Read { path, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launch_never_leaves_its_tree() {
        let launch = Launch::parse(br#"{"program":"usr/bin/app","working_directory":"srv"}"#).unwrap();
        assert_eq!(launch.program, "usr/bin/app");
        for bad in [
            "",
            "{}",
            "[]",
            r#"{"program":""}"#,
            r#"{"program":"/bin/sh"}"#,
            r#"{"program":"../x"}"#,
            r#"{"program":"a/../../x"}"#,
            r#"{"program":"a\u0000b"}"#,
            r#"{"program":"a","working_directory":"/etc"}"#,
            r#"{"program":"a","working_directory":""}"#,
        ] {
            assert!(Launch::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
