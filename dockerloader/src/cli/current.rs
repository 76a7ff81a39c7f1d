//! `cli`: the current version's own command line takes this process over.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::Context;
use super::exit::Exit;
use super::failure::Failure;
use crate::clock;
use crate::disk::RealDisk;
use crate::launch::Launch;
use crate::layout::Layout;
use crate::slots::{self, Named};
use crate::volume::overlay;

/// How long is waited for the first version: it may be on its way.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// Executes the current version with `cli` and the arguments; returns only if that fails.
pub(super) fn run(context: &Context, arguments: &[OsString]) -> Result<Exit, Failure> {
    let begin = clock::now();
    let mut failed: Option<Named> = None;
    loop {
        let found = slots::read(&RealDisk, &context.layout)
            .map_err(|error| Failure::file(context.layout.root(), &error))?;
        // Once more when the version was replaced between the look and the execution.
        if let Some(version) = found.current.version().filter(|version| failed.as_ref() != Some(*version)) {
            let launch = Launch::read(&RealDisk, &context.layout, &version.digest)?
                .unwrap_or_else(|| Launch::of_program(version.program.as_ref()));
            // Where nobody supervises, its tree may be a stack that is not mounted.
            overlay::view_in_place(&context.layout, &version.digest)
                .map_err(|error| Failure::new(Exit::NotExecutable, error.to_string()))?;
            let error = Call::new(&context.layout, version, &launch, arguments).execute();
            if error.kind() != io::ErrorKind::NotFound {
                return Err(not_executed(Exit::NotExecutable, version, &error));
            }
            failed = Some(version.clone());
            continue;
        }
        if let Some(version) = &failed {
            return Err(not_executed(Exit::NotFound, version, &io::ErrorKind::NotFound.into()));
        }
        if begin.elapsed() >= PATIENCE {
            let message = format!("no version is installed in {}", context.layout.root().display());
            return Err(Failure::new(Exit::Temporary, message));
        }
        std::thread::sleep(PAUSE);
    }
}

fn not_executed(exit: Exit, version: &Named, error: &io::Error) -> Failure {
    Failure::new(exit, format!("cannot execute {} of {}: {error}", version.program, version.digest))
}

/// What is executed.
#[derive(Debug, PartialEq, Eq)]
struct Call {
    program: PathBuf,
    arguments: Vec<OsString>,
    /// The image's variables, which lose against this process's.
    defaults: Vec<(OsString, OsString)>,
    root: PathBuf,
    working_directory: Option<PathBuf>,
}

impl Call {
    fn new(layout: &Layout, version: &Named, launch: &Launch, arguments: &[OsString]) -> Self {
        let root = layout.tree(&version.digest);
        let own = launch.arguments.iter().map(OsString::from);
        Self {
            program: root.join(&version.program),
            arguments: own.chain(["cli".into()]).chain(arguments.iter().cloned()).collect(),
            defaults: launch.environment.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            working_directory: launch.working_directory.as_ref().map(|inside| root.join(inside)),
            root,
        }
    }

    /// Replaces this process; returns why it could not.
    fn execute(self) -> io::Error {
        if let Err(error) = is_program(&self.program) {
            return error;
        }
        let environment = self.environment(std::env::vars_os().collect(), std::env::current_exe().ok());
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().envs(environment);
        if let Some(directory) = &self.working_directory {
            command.current_dir(directory);
        }
        command.exec()
    }

    /// The image's variables, over them this process's, over them what the loader says.
    fn environment(
        &self,
        own: Vec<(OsString, OsString)>,
        loader: Option<PathBuf>,
    ) -> BTreeMap<OsString, OsString> {
        let mut environment: BTreeMap<_, _> = self.defaults.iter().cloned().collect();
        environment.extend(own);
        environment.insert("DOCKERLOADER_IMAGE_ROOT".into(), self.root.clone().into());
        environment.extend(loader.map(|loader| ("DOCKERLOADER_BINARY".into(), loader.into())));
        environment
    }
}

/// Whether the kernel would know what to do with a file. `execvp` hands any other file to `/bin/sh` (POSIX, "exec"), which
/// would run a damaged program as a script.
fn is_program(path: &Path) -> io::Result<()> {
    let mut head = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(4).read_to_end(&mut head)?,
        // One may execute what one may not read.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
        Err(error) => return Err(error),
    };
    if head.starts_with(b"#!") || head.starts_with(b"\x7fELF") {
        Ok(())
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "neither an ELF program nor a script that begins with #!",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn the_arguments_follow_those_of_the_image() {
        let layout = Layout::new(Path::new("/data"));
        let version = Named { digest: Digest::from_bytes([1; 32]), program: "usr/bin/python3".into() };
        let launch = Launch {
            program: "usr/bin/python3".into(),
            arguments: vec!["app.py".into()],
            environment: vec![("A".into(), "image".into()), ("B".into(), "image".into())],
            working_directory: Some("srv".into()),
            stop_signal: None,
        };
        let call = Call::new(&layout, &version, &launch, &["user".into(), "add".into()]);
        let root = layout.tree(&version.digest);
        assert_eq!(call.program, root.join("usr/bin/python3"));
        assert_eq!(call.arguments, ["app.py", "cli", "user", "add"]);
        assert_eq!(call.working_directory, Some(root.join("srv")));
        let environment =
            call.environment(vec![("A".into(), "operator".into())], Some("/dockerloader".into()));
        let pairs: Vec<_> = environment.iter().map(|(name, value)| (name.to_str(), value.to_str())).collect();
        assert_eq!(
            pairs,
            [
                (Some("A"), Some("operator")),
                (Some("B"), Some("image")),
                (Some("DOCKERLOADER_BINARY"), Some("/dockerloader")),
                (Some("DOCKERLOADER_IMAGE_ROOT"), root.to_str()),
            ]
        );
    }
}
