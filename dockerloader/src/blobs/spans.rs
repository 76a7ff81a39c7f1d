//! Which bytes of a file are there: a set of ranges. Pure.

use std::ops::Range;

/// A set of byte positions, as ranges that neither touch nor overlap, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spans(Vec<Range<u64>>);

impl Spans {
    /// Puts a range in.
    pub fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let first = self.0.partition_point(|span| span.end < range.start);
        let past = self.0.partition_point(|span| span.start <= range.end);
        let touched = self.0.get(first..past).unwrap_or_default();
        let start = touched.first().map_or(range.start, |span| span.start.min(range.start));
        let end = touched.last().map_or(range.end, |span| span.end.max(range.end));
        self.0.splice(first..past, std::iter::once(start..end));
    }

    /// Puts all of another set in.
    pub fn extend(&mut self, other: &Self) {
        other.0.iter().for_each(|span| self.insert(span.clone()));
    }

    /// How many bytes are in it.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|span| span.end - span.start).sum()
    }

    /// The first position from `from` on that is not in it.
    pub fn end_of_run(&self, from: u64) -> u64 {
        self.0.iter().find(|span| span.contains(&from)).map_or(from, |span| span.end)
    }

    /// Whether all of a range is in it.
    pub fn contains(&self, range: &Range<u64>) -> bool {
        range.is_empty() || self.end_of_run(range.start) >= range.end
    }

    /// The parts of `range` that are not in it, in order.
    pub fn gaps(&self, range: Range<u64>) -> Self {
        let mut gaps = Vec::new();
        let mut from = range.start;
        for span in self.0.iter().filter(|span| span.end > range.start && span.start < range.end) {
            if from < span.start {
                gaps.push(from..span.start);
            }
            from = span.end;
        }
        if from < range.end {
            gaps.push(from..range.end);
        }
        Self(gaps)
    }

    /// What is in it, but not in `other`.
    pub fn without(&self, other: &Self) -> Self {
        Self(self.0.iter().flat_map(|span| other.gaps(span.clone()).0).collect())
    }

    /// The parts of `range` that are in it, in order.
    pub fn within(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let cut = self.0.iter().map(|span| span.start.max(range.start)..span.end.min(range.end));
        cut.filter(|span| !span.is_empty()).collect()
    }

    /// Its ranges, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Range<u64>> {
        self.0.iter()
    }

    /// Whether nothing is in it.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Range<u64>> for Spans {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(ranges: I) -> Self {
        let mut all = Self::default();
        ranges.into_iter().for_each(|range| all.insert(range));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_touches_is_one_range() {
        for (ranges, expected) in [
            (&[(0, 2), (4, 6)][..], &[(0, 2), (4, 6)][..]),
            (&[(4, 6), (0, 2)], &[(0, 2), (4, 6)]),
            (&[(0, 2), (2, 4)], &[(0, 4)]),
            (&[(2, 4), (0, 2)], &[(0, 4)]),
            (&[(0, 2), (4, 6), (1, 5)], &[(0, 6)]),
            (&[(0, 2), (4, 6), (8, 9), (2, 8)], &[(0, 9)]),
            (&[(0, 9), (3, 4)], &[(0, 9)]),
            (&[(3, 3)], &[]),
        ] {
            let found: Vec<(u64, u64)> = ranges
                .iter()
                .map(|&(from, to)| from..to)
                .collect::<Spans>()
                .iter()
                .map(|span| (span.start, span.end))
                .collect();
            assert_eq!(found, expected, "{ranges:?}");
        }
    }

    /// Against a set of single positions.
    #[test]
    fn every_question_has_the_answer_of_a_plain_set() {
        let mut state = 7_u64;
        let mut random = move |most: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % most
        };
        for _ in 0..300 {
            let mut draw = || {
                let ranges: Vec<_> = (0..random(6)).map(|_| random(20)).map(|from| from..from + 3).collect();
                let plain: std::collections::BTreeSet<u64> = ranges.iter().cloned().flatten().collect();
                (ranges.into_iter().collect::<Spans>(), plain)
            };
            let ((one, plain), (other, other_plain)) = (draw(), draw());
            let range = {
                let from = random(12);
                from..from + random(12)
            };
            let flat = |spans: &Spans| spans.iter().cloned().flatten().collect::<Vec<_>>();
            assert_eq!(one.total(), plain.len() as u64);
            assert_eq!(flat(&one), plain.iter().copied().collect::<Vec<_>>());
            assert_eq!(one.contains(&range), range.clone().all(|at| plain.contains(&at)));
            let gaps: Vec<u64> = range.clone().filter(|at| !plain.contains(at)).collect();
            assert_eq!(flat(&one.gaps(range.clone())), gaps);
            let within: Vec<u64> = range.clone().filter(|at| plain.contains(at)).collect();
            assert_eq!(one.within(&range).into_iter().flatten().collect::<Vec<_>>(), within);
            let without: Vec<u64> = plain.difference(&other_plain).copied().collect();
            assert_eq!(flat(&one.without(&other)), without);
            let run = (range.start..).find(|at| !plain.contains(at)).unwrap();
            assert_eq!(one.end_of_run(range.start), run);
            let mut both = one.clone();
            both.extend(&other);
            assert_eq!(flat(&both), plain.union(&other_plain).copied().collect::<Vec<_>>());
        }
    }
}
