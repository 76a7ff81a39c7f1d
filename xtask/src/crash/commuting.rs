//! Mutants that lead to states which were not there before, and that no invariant minds: each with the reason. A mutant that is neither
//! caught nor here fails the run.

/// A kind of mutant that is harmless, and why. `*` in the pattern stands for anything.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) pattern: &'static str,
    pub(super) reason: &'static str,
}

/// Syncs that are not missed in the life that is recorded.
pub(super) const SYNCS: &[Row] = &[];

/// Neighbours whose order does not matter.
pub(super) const SWAPS: &[Row] = &[];

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
