//! What is flat in the end: files, memory, zombies, disk. Pure but for the look at the disk.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde_json::{Value, json};

use super::schedule::Kind;

/// Kilobytes by which a supervisor may grow after its first updates.
const DRIFT: u64 = 256;

/// A supervisor's figures at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) files: usize,
    /// Kilobytes.
    pub(super) resident: u64,
    pub(super) zombies: usize,
}

/// What a data directory holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Disk {
    /// Bytes that are taken.
    pub(super) bytes: u64,
    /// Files, directories and links.
    pub(super) entries: u64,
}

impl Disk {
    /// Walks a directory. What vanishes meanwhile counts as not there.
    pub(super) fn of(directory: &Path) -> Self {
        let mut sum = Self::default();
        let mut open = vec![directory.to_owned()];
        while let Some(directory) = open.pop() {
            for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
                let Ok(metadata) = entry.path().symlink_metadata() else { continue };
                sum.bytes += metadata.blocks() * 512;
                sum.entries += 1;
                if metadata.is_dir() {
                    open.push(entry.path());
                }
            }
        }
        sum
    }
}

/// One supervisor's life: its figures when it had warmed up, and the last ones.
#[derive(Debug, Clone, Copy)]
struct Span {
    updates: usize,
    warm: Option<Life>,
    last: Option<Life>,
}

/// Everything that was measured.
#[derive(Debug, Default)]
pub(super) struct Figures {
    spans: Vec<Span>,
    outcomes: BTreeMap<Kind, usize>,
    warm_disk: Option<Disk>,
    largest_disk: Disk,
    last_disk: Disk,
    /// Updates after which the supervisor counts as warm.
    warm_after: usize,
}

impl Figures {
    pub(super) fn new(warm_after: usize) -> Self {
        Self { warm_after, ..Self::default() }
    }

    /// A supervisor began its life.
    pub(super) fn born(&mut self) {
        self.spans.push(Span { updates: 0, warm: None, last: None });
    }

    /// An update is over.
    pub(super) fn updated(&mut self, kind: Kind, life: Life) {
        *self.outcomes.entry(kind).or_default() += 1;
        if let Some(span) = self.spans.last_mut() {
            span.updates += 1;
            span.last = Some(life);
            if span.updates == self.warm_after {
                span.warm = Some(life);
            }
        }
    }

    /// A look at the disk between two updates.
    pub(super) fn disk(&mut self, disk: Disk) {
        self.warm_disk.get_or_insert(disk);
        self.largest_disk.bytes = self.largest_disk.bytes.max(disk.bytes);
        self.largest_disk.entries = self.largest_disk.entries.max(disk.entries);
        self.last_disk = disk;
    }

    /// What is not flat. `version` is what one version takes.
    pub(super) fn faults(&self, version: Disk) -> Vec<String> {
        let mut faults = Vec::new();
        for span in &self.spans {
            let (Some(warm), Some(last)) = (span.warm, span.last) else { continue };
            if last.files != warm.files {
                faults.push(format!(
                    "{} open files became {} in {} updates",
                    warm.files, last.files, span.updates
                ));
            }
            if last.resident > warm.resident + DRIFT {
                faults.push(format!(
                    "{} kB became {} kB in {} updates",
                    warm.resident, last.resident, span.updates
                ));
            }
        }
        let zombies: usize = self.spans.iter().filter_map(|span| span.last).map(|life| life.zombies).sum();
        if zombies > 0 {
            faults.push(format!("{zombies} zombies"));
        }
        let warm = self.warm_disk.unwrap_or_default();
        // The spare tree and what is being verified may be there at one look and not at the other: one version.
        if self.largest_disk.bytes > warm.bytes + version.bytes {
            faults.push(format!("{} bytes of disk became {}", warm.bytes, self.largest_disk.bytes));
        }
        if self.largest_disk.entries > warm.entries + version.entries {
            faults.push(format!("{} files became {}", warm.entries, self.largest_disk.entries));
        }
        faults
    }

    /// The longest life, in updates, with its figures.
    fn longest(&self) -> Option<(usize, Life, Life)> {
        let told = self.spans.iter().filter_map(|span| Some((span.updates, span.warm?, span.last?)));
        told.max_by_key(|(updates, ..)| *updates)
    }

    /// The largest growth of all lives, in kB, negative when all shrank.
    fn drift(&self) -> i64 {
        let grown = self
            .spans
            .iter()
            .filter_map(|span| Some(span.last?.resident.cast_signed() - span.warm?.resident.cast_signed()));
        grown.max().unwrap_or(0)
    }

    /// The table.
    pub(super) fn table(&self) -> String {
        let mut rows = vec!["| figure | value |".to_owned(), "|---|---|".to_owned()];
        let mut row = |name: &str, value: String| rows.push(format!("| {name} | {value} |"));
        row("updates", self.outcomes.values().sum::<usize>().to_string());
        for kind in Kind::ALL {
            row(&format!("- {}", kind.name()), self.outcomes.get(&kind).unwrap_or(&0).to_string());
        }
        row("supervisors, one after the other", self.spans.len().to_string());
        if let Some((updates, warm, last)) = self.longest() {
            row("longest life, in updates", updates.to_string());
            row("its open files, warm and at the end", format!("{}, {}", warm.files, last.files));
            row("its memory, warm and at the end", format!("{} kB, {} kB", warm.resident, last.resident));
        }
        row("largest growth of a supervisor's memory", format!("{} kB", self.drift()));
        let disk = |disk: Disk| format!("{} kB in {} entries", disk.bytes / 1024, disk.entries);
        row("disk, at first", disk(self.warm_disk.unwrap_or_default()));
        row("disk, at most", disk(self.largest_disk));
        row("disk, at the end", disk(self.last_disk));
        rows.join("\n")
    }

    /// For machines.
    pub(super) fn json(&self) -> Value {
        let outcomes: serde_json::Map<_, _> =
            self.outcomes.iter().map(|(kind, count)| (kind.name().to_owned(), json!(count))).collect();
        let disk = |disk: Disk| json!({ "bytes": disk.bytes, "entries": disk.entries });
        json!({
            "updates": outcomes,
            "supervisors": self.spans.len(),
            "longest_life": self.longest().map(|(updates, ..)| updates),
            "largest_growth_kb": self.drift(),
            "disk": { "first": self.warm_disk.map(disk), "largest": disk(self.largest_disk), "last": disk(self.last_disk) },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Life = Life { files: 9, resident: 5000, zombies: 0 };

    fn lived(last: Life) -> Figures {
        let mut figures = Figures::new(1);
        figures.born();
        figures.updated(Kind::Good, LIFE);
        figures.updated(Kind::Good, last);
        figures.disk(Disk { bytes: 1000, entries: 10 });
        figures
    }

    #[test]
    fn what_grows_is_found() {
        let version = Disk { bytes: 100, entries: 3 };
        assert_eq!(lived(LIFE).faults(version), Vec::<String>::new());
        for (last, part) in [
            (Life { files: 10, ..LIFE }, "open files"),
            (Life { resident: 5257, ..LIFE }, "kB became"),
            (Life { zombies: 1, ..LIFE }, "zombies"),
        ] {
            let faults = lived(last).faults(version);
            assert!(faults.len() == 1 && faults[0].contains(part), "{faults:?}");
        }
        for (disk, count) in [(Disk { bytes: 1100, entries: 13 }, 0), (Disk { bytes: 1101, entries: 14 }, 2)]
        {
            let mut figures = lived(LIFE);
            figures.disk(disk);
            assert_eq!(figures.faults(version).len(), count);
        }
    }

    #[test]
    fn the_longest_life_is_told() {
        let mut figures = lived(Life { resident: 5100, ..LIFE });
        figures.born();
        figures.updated(Kind::PowerCut, LIFE);
        let table = figures.table();
        assert!(table.contains("| longest life, in updates | 2 |"), "{table}");
        assert!(table.contains("| largest growth of a supervisor's memory | 100 kB |"), "{table}");
    }
}
