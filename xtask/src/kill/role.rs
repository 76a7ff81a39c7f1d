//! Which of the binaries a process is: pure.

use std::fmt;
use std::path::Path;

/// What a process does in an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Role {
    /// Process 1 of the container.
    Supervisor,
    /// Its child that looks at the registry and brings a version on disk.
    Puller,
    /// Its child that removes what nothing names.
    Collector,
    /// Its child that builds a tree again.
    Restorer,
    /// A version.
    App,
    /// Whatever else: what starts the supervisor, a child before it is something.
    Other,
}

impl Role {
    /// Those that are killed.
    pub(super) const KILLED: [Self; 4] = [Self::Supervisor, Self::Puller, Self::Collector, Self::App];

    /// Those that belong to the product, and what it runs.
    pub(super) const OURS: [Self; 5] =
        [Self::Supervisor, Self::Puller, Self::Collector, Self::Restorer, Self::App];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Supervisor => "supervisor",
            Self::Puller => "puller",
            Self::Collector => "gc",
            Self::Restorer => "restore",
            Self::App => "app",
            Self::Other => "other",
        }
    }

    /// What a process has become by an `execve`. `arguments` are those of `/proc/PID/cmdline`, the program's name first.
    pub(super) fn of(arguments: &[String], loader: &Path, app: &Path, data: &Path) -> Self {
        let program = arguments.first().map(Path::new).unwrap_or_else(|| Path::new(""));
        // A script is its interpreter, with its own path as the first argument.
        let script = arguments.get(1).is_some_and(|argument| Path::new(argument).starts_with(data));
        if program == loader {
            match arguments.get(1).map(String::as_str) {
                None => Self::Supervisor,
                Some("pull") => Self::Puller,
                Some("gc") => Self::Collector,
                Some("restore") => Self::Restorer,
                Some(_) => Self::Other,
            }
        } else if program == app || program.starts_with(data) || script {
            Self::App
        } else {
            Self::Other
        }
    }

    /// Whether it is a child that the supervisor waits for.
    pub(super) const fn is_helper(self) -> bool {
        matches!(self, Self::Puller | Self::Collector | Self::Restorer)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_told_by_their_arguments() {
        let role = |arguments: &[&str]| {
            let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
            Role::of(&arguments, Path::new("/t/loader"), Path::new("/t/app"), Path::new("/t/data"))
        };
        for (arguments, expected) in [
            (&["/t/loader"][..], Role::Supervisor),
            (&["/t/loader", "pull", "--stage"], Role::Puller),
            (&["/t/loader", "gc", "--json"], Role::Collector),
            (&["/t/loader", "restore", "--offline"], Role::Restorer),
            (&["/t/loader", "status"], Role::Other),
            (&["/bin/sh", "/t/data/dockerloader/storage/v1/extracted/x/entrypoint"], Role::App),
            (&["/t/app"], Role::App),
            (&["unshare", "--fork", "/t/loader"], Role::Other),
            (&[], Role::Other),
        ] {
            assert_eq!(role(arguments), expected, "{arguments:?}");
        }
    }
}
