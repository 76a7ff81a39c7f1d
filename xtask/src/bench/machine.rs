//! What the figures depend on besides the programs: one line for the documentation.

use std::path::Path;

use crate::call::Call;

/// Cores, memory and kernel.
pub(super) fn describe() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let model = field(&read("/proc/cpuinfo"), "model name").unwrap_or("unknown processor").to_owned();
    let memory = field(&read("/proc/meminfo"), "MemTotal").and_then(kilobytes).unwrap_or_default();
    format!(
        "{cores} cores ({model}), {:.0} GiB of memory, Linux {}",
        memory as f64 / f64::from(1 << 20),
        read("/proc/sys/kernel/osrelease").trim(),
    )
}

/// The type of the file system that holds `directory`.
pub(super) fn file_system_of(directory: &Path) -> String {
    let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let journal = std::fs::read_dir("/proc/fs/jbd2").is_ok_and(|mut entries| entries.next().is_some());
    match file_system(&mounts, &directory) {
        Some(kind) if kind == "ext4" && !journal => "ext4 without a journal".to_owned(),
        Some(kind) => kind,
        None => "an unknown file system".to_owned(),
    }
}

/// The first line that each program says about its version, without what comes after the first comma.
pub(super) fn versions(programs: &[(&str, &str)]) -> String {
    let version = |(program, option): &(&str, &str)| {
        let said = Call::new(program).args([option]).read().unwrap_or_default();
        let line = said.lines().next().unwrap_or_default();
        match line.split(',').next() {
            Some(line) if !line.is_empty() => line.to_owned(),
            _ => format!("{program} of unknown version"),
        }
    };
    programs.iter().map(version).collect::<Vec<_>>().join(", ")
}

/// Says so when somebody else is using the machine: figures taken now are worth nothing.
pub(super) fn warn_if_busy() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().and_then(|load| load.parse::<f64>().ok()).unwrap_or_default();
    if load > 0.5 {
        eprintln!("the machine is busy (load {load}): do not keep the figures");
    }
}

/// The value of `name` in a file of `name: value` lines.
fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let value = |line: &'t str| line.split_once(':').filter(|(found, _)| found.trim() == name);
    text.lines().find_map(value).map(|(_, value)| value.trim())
}

fn kilobytes(value: &str) -> Option<u64> {
    value.strip_suffix(" kB")?.trim().parse().ok()
}

/// The type of the file system that holds `directory`, in the text of `/proc/self/mounts`: the last of the longest prefixes.
fn file_system(mounts: &str, directory: &Path) -> Option<String> {
    let mounted = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (point, kind) = (Path::new(words.next()?), words.next()?);
        directory.starts_with(point).then(|| (point.components().count(), kind))
    });
    mounted.max_by_key(|(depth, _)| *depth).map(|(_, kind)| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_mount_counts() {
        let mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\ntmpfs /tmp/x xfs rw 0 0\n";
        for (directory, kind) in [("/srv", "ext4"), ("/tmp/y", "tmpfs"), ("/tmp/x/y", "xfs")] {
            assert_eq!(file_system(mounts, Path::new(directory)).as_deref(), Some(kind));
        }
        assert_eq!(file_system("", Path::new("/")), None);
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "MemTotalX:  1 kB\nMemTotal:       24104512 kB\n";
        assert_eq!(field(text, "MemTotal").and_then(kilobytes), Some(24_104_512));
        assert_eq!(field(text, "Mem"), None);
    }
}
