//! Who extracts: what of a layer's attributes can be set depends on it.

use std::sync::OnceLock;

/// Capabilities that decide over attributes and nodes (`capabilities(7)`): `CHOWN`, `DAC_OVERRIDE`, `FOWNER`, `FSETID`,
/// `SYS_ADMIN` (for `trusted.*`), `MKNOD`, `SETFCAP`.
const CAPABILITIES: u64 = 1 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 21 | 1 << 27 | 1 << 31;

/// The same for processes whose extractions give the same trees: a hash over user, group, the capabilities that count, and
/// the maps of the user namespace. They do not change while a process lives.
pub(super) fn fingerprint() -> [u8; 32] {
    static FINGERPRINT: OnceLock<[u8; 32]> = OnceLock::new();
    *FINGERPRINT.get_or_init(|| {
        let read = |path| std::fs::read(path).unwrap_or_default();
        let user = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let capabilities = effective(&read("/proc/self/status")).map(|set| set & CAPABILITIES);
        let maps = [read("/proc/self/uid_map"), read("/proc/self/gid_map")];
        let text = format!("{user:?} {capabilities:?} {maps:?}");
        *blake3::hash(text.as_bytes()).as_bytes()
    })
}

/// The effective capabilities in `/proc/self/status` (`proc_pid_status(5)`, `CapEff`).
fn effective(status: &[u8]) -> Option<u64> {
    let line = status.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"CapEff:"))?;
    u64::from_str_radix(std::str::from_utf8(line).ok()?.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_as_the_kernel_writes_them() {
        let status = b"Name:\tx\nCapPrm:\t0000000000000001\nCapEff:\t00000000a80425fb\nCapBnd:\t0\n";
        assert_eq!(effective(status), Some(0xa804_25fb));
        assert_eq!(effective(b"Name:\tx\n"), None);
        assert_eq!(fingerprint(), fingerprint());
    }
}
