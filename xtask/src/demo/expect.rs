//! What has to be seen from outside, what is seen, and how the two differ: pure.

use std::fmt;

use super::versions::{COUNT, Version};

/// A number for each version.
pub(super) type Each = [usize; COUNT];

/// What must be true after a step. Nothing may be staged or on trial then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expected {
    /// The link `entrypoint`.
    pub(super) current: Option<Version>,
    /// The link `entrypoint-previous`.
    pub(super) previous: Option<Version>,
    /// The file `update-attempt`.
    pub(super) failed: Option<Version>,
    /// Of which a part is on disk.
    pub(super) downloading: Option<Version>,
    /// Whether the supervisor is alive, and with it exactly one process of the application, its child, of `current`. If not, no
    /// process at all may be left.
    pub(super) alive: bool,
    /// How often the application was started in each version since the demo began.
    pub(super) starts: Each,
    /// How often the registry was asked for the layer that each version alone has. The one with the program, which all share,
    /// has to be fetched once in all.
    pub(super) fetches: Each,
}

/// What a link, a file or a process names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    Version(Version),
    /// Anything else, as it stands there.
    Other(String),
}

impl fmt::Display for Named {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => version.fmt(formatter),
            Self::Other(text) => formatter.write_str(text),
        }
    }
}

/// The part that a process plays, by its executable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Role {
    /// The supervisor or one of its helpers: the same binary.
    Loader,
    /// The application: an executable inside a version's tree.
    App(Named),
}

/// A process whose executable lies in the demo's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) parent: u32,
    pub(super) role: Role,
}

/// What is seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) current: Option<Named>,
    pub(super) previous: Option<Named>,
    pub(super) staged: Option<Named>,
    pub(super) trying: Option<Named>,
    pub(super) failed: Option<Named>,
    pub(super) downloading: Vec<Version>,
    pub(super) processes: Vec<Process>,
    pub(super) starts: Each,
    pub(super) fetches: Each,
    pub(super) fetches_of_program: usize,
}

impl Seen {
    /// The processes of the application.
    fn apps(&self) -> impl Iterator<Item = (&Process, &Named)> {
        self.processes.iter().filter_map(|process| match &process.role {
            Role::App(named) => Some((process, named)),
            Role::Loader => None,
        })
    }
}

impl Expected {
    /// Every way in which what is seen differs, for people; empty if it is all as it must be. `supervisor` is the process that
    /// was started as such last.
    pub(super) fn differences(&self, seen: &Seen, supervisor: u32) -> Vec<String> {
        let mut differences = Vec::new();
        for (what, expected, found) in [
            ("entrypoint", self.current, &seen.current),
            ("entrypoint-previous", self.previous, &seen.previous),
            ("entrypoint-attempt", None, &seen.staged),
            ("entrypoint-attempting", None, &seen.trying),
            ("update-attempt", self.failed, &seen.failed),
        ] {
            if expected.map(Named::Version) != *found {
                differences.push(format!("{what} names {}, not {}", or_none(found), or_none(&expected)));
            }
        }
        let downloading: Vec<_> = self.downloading.into_iter().collect();
        if downloading != seen.downloading {
            let found = or_none(&seen.downloading.first());
            differences
                .push(format!("half a download is there of {found}, not of {}", or_none(&self.downloading)));
        }
        self.judge_processes(seen, supervisor, &mut differences);
        for (what, expected, found) in
            [("started", self.starts, seen.starts), ("fetched", self.fetches, seen.fetches)]
        {
            for version in Version::ALL {
                let (expected, found) = (expected[version.index()], found[version.index()]);
                if expected != found {
                    differences.push(format!(
                        "{version} was {what} {}, not {}",
                        times(found),
                        times(expected)
                    ));
                }
            }
        }
        if seen.fetches_of_program != 1 {
            let found = times(seen.fetches_of_program);
            differences.push(format!("the layer with the program was fetched {found}, not once"));
        }
        differences
    }

    fn judge_processes(&self, seen: &Seen, supervisor: u32, differences: &mut Vec<String>) {
        if !self.alive {
            let left = seen.processes.iter().map(|process| match &process.role {
                Role::Loader => format!("process {} of the supervisor's binary is left", process.pid),
                Role::App(named) => format!("process {} of {named} is left", process.pid),
            });
            differences.extend(left);
            return;
        }
        let is_supervisor = |process: &Process| process.pid == supervisor && process.role == Role::Loader;
        if !seen.processes.iter().any(is_supervisor) {
            differences.push(format!("the supervisor, process {supervisor}, is gone"));
        }
        let apps: Vec<_> = seen.apps().collect();
        if apps.len() != 1 {
            differences.push(format!("{} processes of the application run, not 1", apps.len()));
        }
        for (process, named) in apps {
            if Some(named) != self.current.map(Named::Version).as_ref() {
                differences.push(format!(
                    "process {} is of {named}, not {}",
                    process.pid,
                    or_none(&self.current)
                ));
            }
            if process.parent != supervisor {
                differences.push(format!("process {} is no child of the supervisor", process.pid));
            }
        }
    }

    /// What is verified, for people, with the counts of the version that the step is about.
    pub(super) fn claims(&self, about: Option<Version>) -> String {
        let links = [("entrypoint", self.current), ("previous", self.previous), ("failed", self.failed)];
        let links = links.into_iter().filter_map(|(name, version)| Some(format!("{name} {}", version?)));
        let mut claims = vec![links.collect::<Vec<_>>().join(", ")];
        claims.push(match self.current {
            Some(current) if self.alive => format!("only {current} runs"),
            _ => "no process is left".to_owned(),
        });
        if let Some(version) = about {
            let (started, fetched) = (self.starts[version.index()], self.fetches[version.index()]);
            claims.push(match self.downloading {
                Some(version) => format!("a part of {version} is there"),
                None => format!("{version} fetched {}, started {}", times(fetched), times(started)),
            });
        }
        claims.join("; ")
    }
}

fn or_none(value: &Option<impl fmt::Display>) -> String {
    value.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string)
}

fn times(count: usize) -> String {
    match count {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{more} times"),
    }
}
