//! The service notification protocol of `sd_notify(3)`: datagrams of `KEY=VALUE` lines.

/// What an application says by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    /// `READY=1`
    Ready,
    /// `EXTEND_TIMEOUT_USEC=`, in milliseconds, rounded up.
    Extend(u64),
    /// `WATCHDOG=1`
    Alive,
    /// `WATCHDOG_USEC=`, in milliseconds, rounded up; 0 switches it off.
    Watchdog(u64),
    /// `WATCHDOG=trigger`: it knows that it is broken.
    Broken,
    /// `STOPPING=1`
    Stopping,
}

/// The notices in one datagram, in order. Unknown keys are none of our business, and broken values are skipped, as systemd does.
pub(super) fn parse(datagram: &[u8]) -> Vec<Notice> {
    let text = String::from_utf8_lossy(datagram);
    text.lines()
        .filter_map(|line| {
            let (key, value) = line.split_once('=')?;
            let milliseconds = || value.parse::<u64>().ok().map(|microseconds| microseconds.div_ceil(1000));
            match (key, value) {
                ("READY", "1") => Some(Notice::Ready),
                ("STOPPING", "1") => Some(Notice::Stopping),
                ("WATCHDOG", "1") => Some(Notice::Alive),
                ("WATCHDOG", "trigger") => Some(Notice::Broken),
                ("WATCHDOG_USEC", _) => milliseconds().map(Notice::Watchdog),
                ("EXTEND_TIMEOUT_USEC", _) => milliseconds().map(Notice::Extend),
                _ => None,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_are_read_line_by_line() {
        for (datagram, notices) in [
            (&b"READY=1"[..], vec![Notice::Ready]),
            (b"READY=1\nSTATUS=up and running\nWATCHDOG=1\n", vec![Notice::Ready, Notice::Alive]),
            (b"EXTEND_TIMEOUT_USEC=1500", vec![Notice::Extend(2)]),
            (b"WATCHDOG_USEC=3000000", vec![Notice::Watchdog(3000)]),
            (b"WATCHDOG=trigger", vec![Notice::Broken]),
            (b"STOPPING=1", vec![Notice::Stopping]),
            (b"READY=0", vec![]),
            (b"READY", vec![]),
            (b"EXTEND_TIMEOUT_USEC=-1", vec![]),
            (b"EXTEND_TIMEOUT_USEC=99999999999999999999999", vec![]),
            (b"\xff\xfe\nREADY=1", vec![Notice::Ready]),
            (b"", vec![]),
        ] {
            assert_eq!(parse(datagram), notices, "{:?}", String::from_utf8_lossy(datagram));
        }
    }
}
