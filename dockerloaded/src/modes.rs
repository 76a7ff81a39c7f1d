//! Environment -> what to do: pure.

use std::str::FromStr;
use std::time::Duration;

use nix::sys::signal::Signal;

/// One behaviour; `main.rs` has the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Good,
    IgnoreTerm,
    Orphans,
    Zombies,
    Spam,
    Fail,
    Hang,
    Slow,
    Extend,
    NeverReady,
    ReadyTwice,
    Loop,
    Once,
    Crash,
    Exit42,
    Exit0,
}

const MODES: [(&str, Mode); 16] = [
    ("good", Mode::Good),
    ("ignore-term", Mode::IgnoreTerm),
    ("orphans", Mode::Orphans),
    ("zombies", Mode::Zombies),
    ("spam", Mode::Spam),
    ("fail", Mode::Fail),
    ("hang", Mode::Hang),
    ("slow", Mode::Slow),
    ("extend", Mode::Extend),
    ("never-ready", Mode::NeverReady),
    ("ready-twice", Mode::ReadyTwice),
    ("loop", Mode::Loop),
    ("once", Mode::Once),
    ("crash", Mode::Crash),
    ("exit-42", Mode::Exit42),
    ("exit-0", Mode::Exit0),
];

/// Everything that the environment says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) version: String,
    modes: Vec<Mode>,
    pub(crate) exit_code: u8,
    pub(crate) signal: Option<Signal>,
    pub(crate) slow: Duration,
    pub(crate) after: Duration,
    pub(crate) children: u32,
    pub(crate) spam_lines: u32,
}

impl Plan {
    /// Reads the environment through `get`. An empty value counts as unset.
    pub(crate) fn parse(get: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let get = |name: &str| get(name).filter(|value| !value.is_empty());
        let mut modes = Vec::new();
        for word in get("DOCKERLOADED_MODE").iter().flat_map(|list| list.split(',')) {
            let mode = MODES.iter().find(|(name, _)| *name == word.trim()).ok_or_else(|| {
                let all: Vec<_> = MODES.iter().map(|(name, _)| *name).collect();
                format!("DOCKERLOADED_MODE has {word:?}, but these are known: {}", all.join(", "))
            })?;
            modes.push(mode.1);
        }
        for (variable, mode) in
            [("FAIL_INIT", Mode::Fail), ("TIMEOUT_INIT", Mode::Hang), ("LONG_RUNNING", Mode::Loop)]
        {
            if get(variable).is_some_and(|value| value != "0" && value != "false") {
                modes.push(mode);
            }
        }
        Ok(Self {
            version: get("DOCKERLOADED_VERSION").unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned()),
            modes,
            exit_code: parsed(&get, "DOCKERLOADED_EXIT_CODE", 1)?,
            signal: get("DOCKERLOADED_SIGNAL")
                .map(|name| name.parse().map_err(|_| format!("DOCKERLOADED_SIGNAL: no signal {name:?}")))
                .transpose()?,
            slow: Duration::from_millis(parsed(&get, "DOCKERLOADED_SLOW_MS", 15_000)?),
            after: Duration::from_millis(parsed(&get, "DOCKERLOADED_AFTER_MS", 0)?),
            children: parsed(&get, "DOCKERLOADED_CHILDREN", 3)?,
            spam_lines: parsed(&get, "DOCKERLOADED_SPAM_LINES", 10_000)?,
        })
    }

    pub(crate) fn has(&self, mode: Mode) -> bool {
        self.modes.contains(&mode)
    }

    pub(crate) fn ends_after_ready(&self) -> bool {
        [Mode::Crash, Mode::Exit42, Mode::Exit0].into_iter().any(|mode| self.has(mode))
    }
}

fn parsed<T: FromStr>(get: &impl Fn(&str) -> Option<String>, name: &str, default: T) -> Result<T, String> {
    get(name)
        .map_or(Ok(default), |text| text.parse().map_err(|_| format!("{name}: no number here: {text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(pairs: &[(&str, &str)]) -> Result<Plan, String> {
        Plan::parse(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn modes_come_from_the_list_and_from_the_short_variables() {
        let chosen =
            plan(&[("DOCKERLOADED_MODE", "slow, extend"), ("LONG_RUNNING", "1"), ("FAIL_INIT", "0")])
                .unwrap();
        assert_eq!(chosen.modes, [Mode::Slow, Mode::Extend, Mode::Loop]);
        assert!(plan(&[("DOCKERLOADED_MODE", "")]).unwrap().modes.is_empty());
    }

    #[test]
    fn a_wrong_value_is_named() {
        for (variable, value) in [
            ("DOCKERLOADED_MODE", "good,odd"),
            ("DOCKERLOADED_EXIT_CODE", "256"),
            ("DOCKERLOADED_SIGNAL", "SIGWHAT"),
            ("DOCKERLOADED_SLOW_MS", "1s"),
        ] {
            let error = plan(&[(variable, value)]).unwrap_err();
            assert!(error.contains(variable) && !error.is_empty(), "{error}");
        }
    }

    #[test]
    fn every_mode_is_in_the_table_of_the_documentation() {
        let documentation = include_str!("main.rs");
        for (name, _) in MODES {
            assert!(documentation.contains(&format!("//! | `{name}` |")), "{name}");
        }
    }
}
