//! Mutants that lead to states which were not there before, and that no invariant minds: each with the reason. A mutant that is neither
//! caught nor here fails the run.

/// A kind of mutant that is harmless, and why. `*` in the pattern stands for anything.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) pattern: &'static str,
    pub(super) reason: &'static str,
}

/// Syncs that are not missed in the life that is recorded.
pub(super) const SYNCS: &[Row] = &[
    Row {
        pattern: "fsync reserve/*",
        reason: "room on the disk, not bytes: written so that the file system has allocated it before it is needed",
    },
    Row {
        pattern: "fsync reserve: *",
        reason: "room on the disk: what is lost of it is reserved again at the next start",
    },
    Row {
        pattern: "fsync /dockerloader: mkdir reserve",
        reason: "room on the disk: what is lost of it is reserved again at the next start",
    },
    Row {
        pattern: "fsync /dockerloader: openat store.lock, mkdir storage",
        reason: "a first install: what is lost of empty directories and locks is made again",
    },
    Row {
        pattern: "fsync storage: mkdir storage/v1",
        reason: "a first install: a folder that is lost is made again, and the sync of the whole file system comes before a slot is filled",
    },
    Row {
        pattern: "fsync /dockerloader: rename entrypoint-attempt entrypoint",
        reason: "a first version that is staged still becomes the current one at the next start; what is written next syncs the same directory",
    },
    Row {
        pattern: "fsync tmp-supervisor.json: *",
        reason: "a torn record of the last session counts as an end without order: the next start looks closer",
    },
    Row {
        pattern: "fsync tmp-stopped: *",
        reason: "a torn farewell counts as none: the next start looks closer",
    },
    Row {
        pattern: "fsync /dockerloader: openat tmp-stopped, rename tmp-stopped stopped",
        reason: "a farewell that is lost makes the next start look closer",
    },
    Row {
        pattern: "fsync /dockerloader: *unlink stopped, *",
        reason: "where an attempt is counted before anything is executed, that sync covers it; elsewhere it is caught",
    },
    Row {
        pattern: "fsync images: openat images/tmp-*, rename images/tmp-*",
        reason: "the sync of the tree covers it; it is needed where a pull finds the tree on disk and extracts nothing",
    },
    Row {
        pattern: "fsync blobs: openat blobs/partial-<config>, rename*",
        reason: "the sync of the tree covers it, before a version names the config; a lost one is fetched again",
    },
    Row {
        pattern: "fsync extracted: mkdir extracted/tmp-*",
        reason: "directories are made durable as they are made; this one is scratch",
    },
    Row {
        pattern: "fsync extracted: rename extracted/<v*> extracted/spare-*",
        reason: "a version that no slot names: under either name its tree is whole until a pull takes it, which syncs the same directory first",
    },
    Row {
        pattern: "fsync extracted: rename extracted/spare-<v*> extracted/tmp-*",
        reason: "a spare tree that comes back half changed is told by its stamps, and has no version's name",
    },
    Row {
        pattern: "fsync extracted: rename extracted/spare-<v*> extracted/removing-*",
        reason: "a spare tree that comes back half removed has no version's name, and is seen to be incomplete when it is taken",
    },
    Row {
        pattern: "fsync /dockerloader: rename entrypoint-attempt entrypoint-attempting",
        reason: "the attempt is counted before: staged or on trial, it is tried again within its budget",
    },
    Row {
        pattern: "fsync /dockerloader: rename entrypoint-attempting entrypoint",
        reason: "the way back's sync covers it, before anything forgets the trial",
    },
    Row {
        pattern: "fsync /dockerloader: symlink tmp-entrypoint-previous, rename*",
        reason: "the memory's sync covers it, or the link was there already",
    },
    Row {
        pattern: "fsync /dockerloader: *rename tmp-state.json state.json",
        reason: "the sync of the next step covers it; what ends a commit is made up for by the next start",
    },
    Row {
        pattern: "fsync /dockerloader: unlink update-attempt",
        reason: "a mark that comes back names a version whose verdict stands as well",
    },
    Row {
        pattern: "fsync /dockerloader: symlink tmp-entrypoint-attempt, rename*",
        reason: "a version that is not staged any more is staged by the next pull; in an install the next step's sync covers it",
    },
    Row {
        pattern: "fsync /dockerloader: openat supervisor.lock*",
        reason: "a first install: what is lost of empty directories and locks is made again",
    },
    Row {
        pattern: "fsync storage/v1: *",
        reason: "a first install: a folder that is lost is made again, and the sync of the last one covers the others before a slot is filled",
    },
];

/// Neighbours whose order does not matter: kinds of them. Where the order does matter, for the same kinds, the mutant is caught.
pub(super) const SWAPS: &[Row] = &[
    Row {
        pattern: "rename *| rename *",
        reason: "two names of which no slot speaks yet, or which no rule puts in order",
    },
    Row {
        pattern: "unlink *| unlink *",
        reason: "two removals of a version that no slot names: any part of it may be left",
    },
    Row {
        pattern: "unlink *| rename extracted/<v*> extracted/spare-*",
        reason: "a version that no slot names loses its parts in any order; its tree stays whole",
    },
    Row {
        pattern: "rename *| fsync *",
        reason: "as without the sync: what it is about is covered by a later one",
    },
    Row {
        pattern: "fsync *| rename *",
        reason: "the name waits for no sync but that of its own file, or a later sync covers both before a slot speaks of it",
    },
    Row {
        pattern: "fsync *| unlink *",
        reason: "what is removed is named by no slot, whether or not the sync before it was made",
    },
    Row {
        pattern: "unlink *| fsync *",
        reason: "a name that comes back is garbage again, or a mark whose verdict stands as well",
    },
    Row {
        pattern: "mkdir *| *",
        reason: "a first install: no slot is filled before the sync of the whole file system",
    },
    Row {
        pattern: "*| mkdir *",
        reason: "a first install: no slot is filled before the sync of the whole file system",
    },
    Row { pattern: "openat *| *", reason: "a lock or an address is made: neither is read after a crash" },
    Row { pattern: "*| openat *", reason: "a lock or an address is made: neither is read after a crash" },
];

/// The row for a mutant.
pub(super) fn row<'r>(rows: &'r [Row], label: &str) -> Option<&'r Row> {
    rows.iter().find(|row| matches(row.pattern, label))
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            (0..=text.len()).filter(|at| text.is_char_boundary(*at)).any(|at| matches(rest, &text[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, expected) in [
            ("a*c", "abbc", true),
            ("a*c", "ac", true),
            ("a*c", "acd", false),
            ("*", "", true),
            ("a", "ab", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn every_row_has_its_reason_once() {
        for rows in [SYNCS, SWAPS] {
            let mut patterns: Vec<_> = rows.iter().map(|row| row.pattern).collect();
            patterns.sort_unstable();
            patterns.dedup();
            assert_eq!(patterns.len(), rows.len());
            assert!(rows.iter().all(|row| row.reason.len() > 20));
        }
    }
}
