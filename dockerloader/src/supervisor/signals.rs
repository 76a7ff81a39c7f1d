//! Which signals the supervisor takes, keeps and passes on.

use nix::sys::signal::{SigSet, Signal};

/// The largest signal number on Linux (`signal(7)`, "Real-time signals").
const LAST: i32 = 64;

/// What becomes of a signal that reaches the supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// A fault of the supervisor itself: not blocked, so that it is fatal instead of lost.
    Fault,
    /// A child ended.
    Child,
    /// Terminal background access: blocked, so that handing over the terminal can't stop the supervisor.
    Ignore,
    /// For the policy, which mostly passes it on.
    Take,
}

/// What becomes of signal `number`.
pub(super) const fn course(number: i32) -> Course {
    match number {
        // ILL TRAP ABRT BUS FPE SEGV SYS
        4 | 5 | 6 | 7 | 8 | 11 | 31 => Course::Fault,
        17 => Course::Child,
        // TTIN TTOU
        21 | 22 => Course::Ignore,
        _ => Course::Take,
    }
}

/// All signals but the faults. The set is blocked before anything else happens, and read from a signalfd.
pub(super) fn blocked() -> SigSet {
    let mut set = SigSet::all();
    for number in 1..=LAST {
        if course(number) == Course::Fault
            && let Ok(signal) = Signal::try_from(number)
        {
            set.remove(signal);
        }
    }
    set
}

/// A stop signal as an image config writes it: `SIGTERM`, `TERM` or a number (OCI image spec, config.md, "StopSignal").
pub(super) fn parse(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=LAST).contains(&number).then_some(number);
    }
    let name = text.to_ascii_uppercase();
    let name = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
    if let Some(offset) = name.strip_prefix("SIGRTMIN+") {
        let number = offset.parse::<i32>().ok().and_then(|offset| offset.checked_add(34));
        return number.filter(|number| (34..=LAST).contains(number));
    }
    name.parse::<Signal>().ok().map(|signal| signal as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_has_its_course() {
        let of = |wanted| (1..=LAST).filter(|n| course(*n) == wanted).collect::<Vec<_>>();
        assert_eq!(of(Course::Fault), [4, 5, 6, 7, 8, 11, 31]);
        assert_eq!(of(Course::Child), [17]);
        assert_eq!(of(Course::Ignore), [21, 22]);
        assert_eq!(of(Course::Take).len(), 54);
        for number in [4, 11] {
            assert!(!blocked().contains(Signal::try_from(number).unwrap()));
        }
        assert!(blocked().contains(Signal::SIGTERM) && blocked().contains(Signal::SIGCHLD));
    }

    #[test]
    fn stop_signals_are_read_in_all_forms() {
        for (text, number) in [
            ("SIGTERM", Some(15)),
            ("quit", Some(3)),
            ("9", Some(9)),
            ("SIGRTMIN+3", Some(37)),
            ("SIGRTMIN+31", None),
            ("SIGRTMIN+2147483647", None),
            ("SIGRTMIN+-1", None),
            ("0", None),
            ("SIGX", None),
            ("99", None),
            ("", None),
        ] {
            assert_eq!(parse(text), number, "{text}");
        }
    }
}
