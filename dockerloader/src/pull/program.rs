//! Whether a version can be started at all, found out before it is staged: what the kernel would refuse is not worth a
//! trial, and the trial's error would not say why.

use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use super::elf::{self, Format};
use crate::launch::Launch;
use crate::manifest::config::ENTRYPOINT;
use crate::manifest::{self, ImageConfig, Platform};
use crate::remedy::Remedy;

/// Why a version can't be started. Paths are inside the image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The config names nothing that could be started.
    #[error(transparent)]
    Config(#[from] manifest::Error),
    /// A directory, a device or the like.
    #[error("the image's program /{path} is {kind}, not a file that can be executed")]
    NotAFile {
        /// The program.
        path: String,
        /// What it is.
        kind: &'static str,
    },
    /// No execute permission.
    #[error(
        "the image's program /{path} is not executable (mode {mode:04o}); set its execute bits when building the \
         image, for example by `COPY --chmod=755`"
    )]
    NotExecutable {
        /// The program.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// A link to nothing.
    #[error("the image's program /{path} is a symbolic link to {target}, which is not in the image")]
    Dangling {
        /// The program.
        path: String,
        /// Where the link leads to.
        target: String,
    },
    /// Of another machine.
    #[error(
        "the image's program /{path} is for {found}, but this is {expected}; build the image for {expected}"
    )]
    Machine {
        /// The program.
        path: String,
        /// What it is for.
        found: String,
        /// What is needed.
        expected: String,
    },
    /// Neither ELF nor a script.
    #[error("the image's program /{path} is neither an ELF executable nor a script that begins with #!")]
    Format {
        /// The program.
        path: String,
    },
    /// Nothing to run it.
    #[error(
        "the image's program /{path} needs {interpreter}, which is not in this container: versions run in the loader's \
         container, so link the program statically, or use a loader image that has {interpreter}"
    )]
    Interpreter {
        /// The program.
        path: String,
        /// The interpreter of the script, or the dynamic loader.
        interpreter: String,
    },
    /// It can't be looked at.
    #[error("cannot look at {path}: {source}")]
    Io {
        /// The path on this machine.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// What to do about it: the image is what it is.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Config(error) => error.remedy(),
            Self::Io { source, .. } => Remedy::of_io(source),
            _ => Remedy::Refuse,
        }
    }
}

/// How the version in `tree` is started, after it was found that it can be. `is_here` says whether a path exists in this
/// container, in which the version will run.
///
/// # Errors
/// What stands in the way.
pub(super) fn launch(
    tree: &Path,
    config: &ImageConfig,
    platform: &Platform,
    is_here: impl Fn(&Path) -> bool,
) -> Result<Launch, Error> {
    let mut trouble = None;
    let launch = config.launch(|path| match is_candidate(tree, path) {
        Ok(answer) => answer,
        Err(source) if is_answer(&source) => false,
        Err(source) => {
            trouble.get_or_insert(Error::Io { path: tree.join(path), source });
            false
        }
    });
    if let Some(trouble) = trouble {
        return Err(trouble);
    }
    let mut launch = launch?;
    let named = launch.program.clone();
    match resolve(tree, &named).map_err(|source| Error::Io { path: tree.join(&named), source })? {
        Found::Missing { target } => return Err(Error::Dangling { path: named, target }),
        Found::At { path, by_image_root } => {
            check(tree, &named, &path, platform, is_here)?;
            if by_image_root {
                // The kernel would take an absolute link from the container's root, not from the image's.
                launch.program = path;
            }
        }
    }
    Ok(launch)
}

/// Whether a path that the config may mean is a program. `/entrypoint` is what the image is for where it exists: if it can't be executed,
/// that is said later.
fn is_candidate(tree: &Path, path: &str) -> io::Result<bool> {
    if path == ENTRYPOINT {
        return std::fs::symlink_metadata(tree.join(path)).map(|_| true);
    }
    let Found::At { path, .. } = resolve(tree, path)? else { return Ok(false) };
    let found = tree.join(path).metadata()?;
    Ok(found.is_file() && found.mode() & 0o111 != 0)
}

/// Whether an error of a look at a path says what the image is, and not that the machine is in trouble, for which no image is refused.
fn is_answer(error: &io::Error) -> bool {
    use rustix::io::Errno;
    const ANSWERS: [Errno; 5] = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP, Errno::NAMETOOLONG, Errno::ACCESS];
    // Without a number: a path that no system call takes.
    Errno::from_io_error(error).is_none_or(|errno| ANSWERS.contains(&errno))
}

/// Checks the file at `path`, which is no link, for the program that the image calls `named`.
fn check(
    tree: &Path,
    named: &str,
    path: &str,
    platform: &Platform,
    is_here: impl Fn(&Path) -> bool,
) -> Result<(), Error> {
    let on_disk = tree.join(path);
    let named = named.to_owned();
    let failed = |source| Error::Io { path: on_disk.clone(), source };
    let found = std::fs::symlink_metadata(&on_disk).map_err(failed)?;
    if !found.is_file() {
        let kind = if found.is_dir() { "a directory" } else { "a special file" };
        return Err(Error::NotAFile { path: named, kind });
    }
    if found.mode() & 0o111 == 0 {
        return Err(Error::NotExecutable { path: named, mode: found.mode() & 0o7777 });
    }
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(&on_disk).map_err(failed)?;
    let mut head = Vec::new();
    file.take(elf::HEAD).read_to_end(&mut head).map_err(failed)?;
    let interpreter = match Format::read(&head) {
        Format::Unknown => return Err(Error::Format { path: named }),
        Format::Script { interpreter } => Some(interpreter),
        Format::Elf { machine, little, interpreter } => {
            let runs = elf::machines(platform.architecture());
            if runs.is_some_and(|runs| !runs.contains(&(machine, little))) {
                let (found, expected) =
                    (elf::machine_name(machine, little), platform.architecture().to_owned());
                return Err(Error::Machine { path: named, found, expected });
            }
            interpreter
        }
    };
    match interpreter {
        Some(interpreter) if !is_here(Path::new(&interpreter)) => {
            Err(Error::Interpreter { path: named, interpreter: interpreter.escape_debug().to_string() })
        }
        _ => Ok(()),
    }
}

/// Where a path of the image leads.
enum Found {
    /// To this path, which goes through no link.
    At {
        path: String,
        /// On the way was an absolute link, or one above the image's root: the kernel would go elsewhere.
        by_image_root: bool,
    },
    /// To nothing.
    Missing { target: String },
}

/// Links that are followed, as `path_resolution(7)` has it.
const LINKS: usize = 40;

/// Follows links as they are meant: from the image's root.
fn resolve(tree: &Path, path: &str) -> io::Result<Found> {
    let mut todo: Vec<std::ffi::OsString> = components(Path::new(path));
    let mut done = PathBuf::new();
    let mut by_image_root = false;
    let mut links = 0;
    let mut last_target = path.to_owned();
    while let Some(name) = todo.pop() {
        if name == ".." {
            by_image_root |= !done.pop();
            continue;
        }
        let here = tree.join(&done).join(&name);
        let found = match std::fs::symlink_metadata(&here) {
            Ok(found) => found,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Found::Missing { target: last_target });
            }
            Err(error) => return Err(error),
        };
        if !found.is_symlink() {
            done.push(name);
            continue;
        }
        links += 1;
        if links > LINKS {
            return Err(io::Error::from(rustix::io::Errno::LOOP));
        }
        let target = std::fs::read_link(&here)?;
        if target.is_absolute() {
            by_image_root = true;
            done = PathBuf::new();
        }
        todo.extend(components(&target));
        last_target = target.to_string_lossy().into_owned();
    }
    match done.to_str() {
        Some(path) => Ok(Found::At { path: path.to_owned(), by_image_root }),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "the program's path is not UTF-8")),
    }
}

/// The names in a path, last first; `..` among them.
fn components(path: &Path) -> Vec<std::ffi::OsString> {
    path.components()
        .rev()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| part.as_os_str().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the tests make trees")]

    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::limits::Limits;

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn file(&self, path: &str, mode: u32, content: &[u8]) -> &Self {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            self
        }

        fn link(&self, path: &str, target: &str) -> &Self {
            symlink(target, self.0.path().join(path)).unwrap();
            self
        }

        fn launch(&self, config: &str) -> Result<Launch, Error> {
            let config =
                ImageConfig::parse(format!(r#"{{"config":{config}}}"#).as_bytes(), &Limits::default());
            let platform = "linux/amd64".parse().unwrap();
            launch(self.0.path(), &config.unwrap(), &platform, |path| path == Path::new("/bin/sh"))
        }

        fn refusal(&self, config: &str) -> String {
            let error = self.launch(config).unwrap_err();
            assert_eq!(error.remedy(), Remedy::Refuse, "{error}");
            error.to_string()
        }
    }

    const SCRIPT: &[u8] = b"#!/bin/sh\n";

    fn elf(machine: u8) -> Vec<u8> {
        let mut head = vec![0; 64];
        head[..6].copy_from_slice(b"\x7fELF\x02\x01");
        head[18] = machine;
        head
    }

    #[test]
    fn the_entrypoint_at_the_root_comes_first() {
        let tree = Tree::new();
        tree.file("entrypoint", 0o755, SCRIPT).file("usr/bin/app", 0o755, &elf(62));
        let launch = tree.launch(r#"{"Entrypoint":["/usr/bin/app","-x"]}"#).unwrap();
        assert_eq!((launch.program.as_str(), launch.arguments.len()), ("entrypoint", 0));
    }

    #[test]
    fn trouble_with_the_machine_says_nothing_about_the_image() {
        use rustix::io::Errno;
        for (errno, expected) in [
            (Errno::NOENT, true),
            (Errno::NOTDIR, true),
            (Errno::LOOP, true),
            (Errno::NAMETOOLONG, true),
            (Errno::ACCESS, true),
            (Errno::IO, false),
            (Errno::NOMEM, false),
            (Errno::MFILE, false),
            (Errno::STALE, false),
        ] {
            assert_eq!(is_answer(&errno.into()), expected, "{errno}");
        }
        let never_asked = std::fs::symlink_metadata("a\0b").unwrap_err();
        assert!(is_answer(&never_asked), "{never_asked}");
    }

    #[test]
    fn the_config_names_the_program_else() {
        let tree = Tree::new();
        tree.file("usr/bin/app", 0o755, &elf(62)).link("bin", "usr/bin");
        for config in [r#"{"Entrypoint":["/bin/app"]}"#, r#"{"Cmd":["app"]}"#, r#"{"Cmd":["bin/app"]}"#] {
            let launch = tree.launch(config).unwrap();
            assert!(tree.0.path().join(&launch.program).is_file(), "{config}: {launch:?}");
        }
    }

    #[test]
    fn an_absolute_link_is_taken_from_the_root_of_the_image() {
        let tree = Tree::new();
        tree.file("opt/app/run", 0o755, SCRIPT)
            .link("entrypoint", "/opt/current")
            .link("opt/current", "app/run");
        assert_eq!(tree.launch("{}").unwrap().program, "opt/app/run");
        let tree = Tree::new();
        tree.file("bin/busybox", 0o755, SCRIPT).link("entrypoint", "bin/busybox");
        assert_eq!(tree.launch("{}").unwrap().program, "entrypoint", "a relative link keeps its own name");
        let tree = Tree::new();
        tree.file("bin/busybox", 0o755, SCRIPT).link("entrypoint", "../../bin/busybox");
        assert_eq!(tree.launch("{}").unwrap().program, "bin/busybox", "above the root is the root");
    }

    #[test]
    fn what_cannot_be_started_is_refused_by_name() {
        for (make, config, words) in [
            ((|tree| tree) as fn(&Tree) -> &Tree, "{}", &["/entrypoint", "Entrypoint"][..]),
            (|tree| tree, r#"{"Cmd":["/bin/app"]}"#, &["/bin/app"]),
            (|tree| tree.file("entrypoint", 0o644, SCRIPT), "{}", &["/entrypoint", "0644"]),
            (|tree| tree.file("entrypoint/x", 0o755, SCRIPT), "{}", &["/entrypoint", "a directory"]),
            (|tree| tree.link("entrypoint", "/gone"), "{}", &["/entrypoint", "/gone"]),
            (|tree| tree.file("entrypoint", 0o755, &elf(183)), "{}", &["arm64", "amd64"]),
            (|tree| tree.file("entrypoint", 0o755, b""), "{}", &["neither"]),
            (|tree| tree.file("entrypoint", 0o755, b"#!/opt/py\n"), "{}", &["/opt/py", "this container"]),
            (|tree| tree.file("entrypoint", 0o755, b"#!/bin/sh\r\n"), "{}", &["/bin/sh\\r"]),
        ] {
            let tree = Tree::new();
            make(&tree);
            let text = tree.refusal(config);
            assert!(words.iter().all(|word| text.contains(word)), "{text}");
        }
    }

    #[test]
    fn a_loop_of_links_ends() {
        let tree = Tree::new();
        tree.link("entrypoint", "entrypoint");
        assert!(tree.launch("{}").is_err());
    }
}
