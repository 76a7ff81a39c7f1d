//! Which bytes of a blob come from which place. Pure.

use std::ops::Range;

use super::entry::Key;
use super::table::Table;
use crate::digest::Digest;

/// What a request costs, in bytes: those that come in the time until an answer begins. At 20 Mbit/s and 80 ms that is
/// 200 KiB, of which four requests under way at a time hide three quarters. Less than that between two ranges is fetched
/// with them.
pub(super) const REQUEST: u64 = 48 << 10;

/// Ranges of one blob, at most. Beyond, those that are farther apart are made one.
const RANGES: usize = 1000;

/// Bytes of one request, at most: four of them are in memory at a time.
pub(super) const PART: u64 = 1 << 20;

/// Some bytes of a blob that is put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// They are in a blob on disk.
    Copy {
        /// Which.
        blob: Digest,
        /// From where on.
        from: u64,
        /// How many.
        length: u64,
    },
    /// They come from the registry.
    Fetch {
        /// Which.
        range: Range<u64>,
    },
    /// They came with the table of contents, which they are.
    Held {
        /// Which.
        range: Range<u64>,
    },
}

impl Piece {
    /// How many bytes it has.
    pub const fn length(&self) -> u64 {
        match self {
            Self::Copy { length, .. } => *length,
            Self::Fetch { range } | Self::Held { range } => range.end.saturating_sub(range.start),
        }
    }
}

/// The pieces of a blob of `size` bytes, in order, without gaps, from 0 to its end: from the blobs of `old`, wherever the
/// tables agree.
pub fn plan(new: &Table, size: u64, old: &[(Digest, Table)]) -> Vec<Piece> {
    let index = Index::new(old);
    let mut pieces = Vec::new();
    // Where the copy under way would go on.
    let mut next = None;
    for (range, key) in new.segments() {
        let found = key.and_then(|key| index.find(key, range.end - range.start, next));
        next = found.map(|(blob, from)| (blob, from.saturating_add(range.end - range.start)));
        let copy = found.and_then(|(blob, from)| Some((old.get(blob)?.0, from)));
        push(
            &mut pieces,
            match copy {
                Some((blob, from)) => Piece::Copy { blob, from, length: range.end - range.start },
                None => Piece::Fetch { range },
            },
        );
    }
    let mut least = REQUEST;
    pieces = bridged(pieces, least);
    while ranges(&pieces) > RANGES && least < size {
        least *= 2;
        pieces = bridged(pieces, least);
    }
    if new.tail() < size {
        pieces.push(Piece::Held { range: new.tail()..size });
    }
    pieces
}

/// Whether a plan is better than an ordinary download: it saves at least a quarter, counting requests.
pub fn is_worth_it(pieces: &[Piece]) -> bool {
    let size: u64 = pieces.iter().map(Piece::length).sum();
    let requests = u64::try_from(requests(pieces)).unwrap_or(u64::MAX);
    fetched(pieces).saturating_add(requests.saturating_mul(REQUEST)) <= size / 4 * 3
}

/// What a plan leaves to be done when the first `done` bytes are there.
pub(super) fn rest(pieces: &[Piece], done: u64) -> Vec<Piece> {
    let mut before = 0;
    let left = pieces.iter().filter_map(|piece| {
        let length = piece.length();
        let skip = done.saturating_sub(before).min(length);
        before += length;
        (skip < length).then(|| match piece {
            Piece::Copy { blob, from, length } => {
                Piece::Copy { blob: *blob, from: from + skip, length: length - skip }
            }
            Piece::Fetch { range } => Piece::Fetch { range: range.start + skip..range.end },
            Piece::Held { range } => Piece::Held { range: range.start + skip..range.end },
        })
    });
    left.collect()
}

/// The requests of a plan, in order.
pub(super) fn parts(pieces: &[Piece]) -> impl Iterator<Item = Range<u64>> + '_ {
    let ranges = pieces.iter().filter_map(|piece| match piece {
        Piece::Fetch { range } => Some(range.clone()),
        _ => None,
    });
    ranges.flat_map(|range| {
        let starts =
            (0..range.end.saturating_sub(range.start).div_ceil(PART)).map(move |n| range.start + n * PART);
        starts.map(move |start| start..range.end.min(start + PART))
    })
}

fn ranges(pieces: &[Piece]) -> usize {
    pieces.iter().filter(|piece| matches!(piece, Piece::Fetch { .. })).count()
}

/// Bytes that a plan fetches.
pub(super) fn fetched(pieces: &[Piece]) -> u64 {
    pieces.iter().filter(|piece| matches!(piece, Piece::Fetch { .. })).map(Piece::length).sum()
}

fn requests(pieces: &[Piece]) -> usize {
    parts(pieces).count()
}

/// Adds a piece, as one with the last where it goes on from there.
fn push(pieces: &mut Vec<Piece>, piece: Piece) {
    match (pieces.last_mut(), &piece) {
        (Some(Piece::Fetch { range: last }), Piece::Fetch { range }) if last.end == range.start => {
            last.end = range.end;
        }
        (Some(Piece::Copy { blob, from, length }), Piece::Copy { blob: other, from: at, length: more })
            if blob == other && *from + *length == *at =>
        {
            *length += more;
        }
        _ => pieces.push(piece),
    }
}

/// Fetches what is to be copied between two ranges as well, where that is less than `least` bytes.
fn bridged(pieces: Vec<Piece>, least: u64) -> Vec<Piece> {
    let mut result: Vec<Piece> = Vec::with_capacity(pieces.len());
    // Copies since the last range, and their bytes.
    let (mut copies, mut bytes) = (Vec::new(), 0u64);
    for piece in pieces {
        match (piece, result.last_mut()) {
            (Piece::Fetch { range }, Some(Piece::Fetch { range: last })) if bytes < least => {
                last.end = range.end;
                copies.clear();
                bytes = 0;
            }
            (piece @ Piece::Fetch { .. }, _) => {
                result.append(&mut copies);
                result.push(piece);
                bytes = 0;
            }
            (piece, _) => {
                bytes = bytes.saturating_add(piece.length());
                copies.push(piece);
            }
        }
    }
    result.append(&mut copies);
    result
}

/// Old segments that have a name, sorted by it: in which table, and its number there. Compressed by another program, the same
/// contents have, as a rule, another length: it is a part of the name here.
struct Index<'o> {
    old: &'o [(Digest, Table)],
    sorted: Vec<(u32, u32)>,
}

impl<'o> Index<'o> {
    fn new(old: &'o [(Digest, Table)]) -> Self {
        let numbers = old.iter().enumerate().flat_map(|(table, (_, contents))| {
            let named = contents.segments().enumerate().filter(|(_, (_, key))| key.is_some());
            named.filter_map(move |(number, _)| {
                Some((u32::try_from(table).ok()?, u32::try_from(number).ok()?))
            })
        });
        let mut sorted: Vec<_> = numbers.collect();
        let unsorted = Self { old, sorted: Vec::new() };
        sorted.sort_unstable_by_key(|at| (unsorted.name(*at), *at));
        Self { old, sorted }
    }

    fn name(&self, (table, number): (u32, u32)) -> Option<(Key, u64)> {
        let (_, contents) = self.old.get(usize::try_from(table).ok()?)?;
        let (range, key) = contents.segment(usize::try_from(number).ok()?)?;
        Some((key?, range.end - range.start))
    }

    /// A blob, and where in it: at `next`, if the bytes are there as well, so that copies stay in one piece.
    fn find(&self, key: Key, length: u64, next: Option<(usize, u64)>) -> Option<(usize, u64)> {
        let wanted = Some((key, length));
        let is_at = |(table, from): &(usize, u64)| {
            let number = self.old.get(*table).and_then(|(_, contents)| contents.number_at(*from));
            let at =
                number.and_then(|number| Some((u32::try_from(*table).ok()?, u32::try_from(number).ok()?)));
            at.is_some_and(|at| self.name(at) == wanted)
        };
        next.filter(is_at).or_else(|| {
            let first = self.sorted.partition_point(|at| self.name(*at) < wanted);
            let (table, number) = *self.sorted.get(first).filter(|at| self.name(**at) == wanted)?;
            let table = usize::try_from(table).ok()?;
            let (range, _) = self.old.get(table)?.1.segment(usize::try_from(number).ok()?)?;
            Some((table, range.start))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KIB: u64 = 1 << 10;

    fn blob(byte: u8) -> Digest {
        Digest::from_bytes([byte; 32])
    }

    fn copy(byte: u8, from: u64, length: u64) -> Piece {
        Piece::Copy { blob: blob(byte), from, length }
    }

    fn fetch(range: Range<u64>) -> Piece {
        Piece::Fetch { range }
    }

    #[test]
    fn what_the_tables_agree_on_is_copied() {
        let table = |rows: &[(u64, u8)]| {
            Table::of(
                &rows
                    .iter()
                    .map(|(length, key)| (length * KIB, Some(*key).filter(|key| *key > 0)))
                    .collect::<Vec<_>>(),
            )
        };
        let one = [(100, 1), (100, 2), (100, 3)];
        for (new, old, expected) in [
            (&one[..], vec![&one[..]], vec![copy(0, 0, 300)]),
            (&one, vec![], vec![fetch(0..300)]),
            (
                &[(100, 1), (100, 9), (100, 3)],
                vec![&one],
                vec![copy(0, 0, 100), fetch(100..200), copy(0, 200, 100)],
            ),
            // Another order, and a second blob.
            (&[(100, 3), (100, 1), (100, 2)], vec![&one], vec![copy(0, 200, 100), copy(0, 0, 200)]),
            (&[(100, 4), (100, 1)], vec![&one, &[(100, 4)]], vec![copy(1, 0, 100), copy(0, 0, 100)]),
            // Twice in the old one: what goes on where the last copy ended.
            (&[(100, 2), (100, 1)], vec![&[(100, 1), (100, 2), (100, 1)]], vec![copy(0, 100, 200)]),
            // Nothing is known about it.
            (&[(100, 0)], vec![&[(100, 0)]], vec![fetch(0..100)]),
            // Less than a request costs between two ranges, also in several copies; not at the end.
            (&[(100, 8), (20, 1), (20, 3), (100, 9)], vec![&[(20, 1), (5, 5), (20, 3)]], vec![fetch(0..240)]),
            (
                &[(100, 8), (48, 1), (100, 9)],
                vec![&[(48, 1)]],
                vec![fetch(0..100), copy(0, 0, 48), fetch(148..248)],
            ),
            (
                &[(20, 1), (100, 9), (20, 1)],
                vec![&[(20, 1)]],
                vec![copy(0, 0, 20), fetch(20..120), copy(0, 0, 20)],
            ),
        ] {
            let old: Vec<_> =
                old.into_iter().enumerate().map(|(n, rows)| (blob(n as u8), table(rows))).collect();
            let new = table(new);
            let scaled = expected.into_iter().map(|piece| match piece {
                Piece::Copy { blob, from, length } => {
                    Piece::Copy { blob, from: from * KIB, length: length * KIB }
                }
                Piece::Fetch { range } => fetch(range.start * KIB..range.end * KIB),
                held @ Piece::Held { .. } => held,
            });
            let mut expected: Vec<_> = scaled.collect();
            assert_eq!(plan(&new, new.tail(), &old), expected);
            expected.push(Piece::Held { range: new.tail()..new.tail() + 5 });
            assert_eq!(plan(&new, new.tail() + 5, &old), expected);
        }
    }

    #[test]
    fn a_plan_has_to_save_a_quarter() {
        for (pieces, is_worth) in [
            (vec![copy(0, 0, 100 << 20)], true),
            (vec![fetch(0..100 << 20)], false),
            (vec![fetch(0..70 << 20), copy(0, 0, 30 << 20)], true),
            (vec![fetch(0..80 << 20), copy(0, 0, 20 << 20)], false),
            (vec![fetch(0..1), copy(0, 0, 50_000)], false),
            (vec![], true),
            // Many requests for one range, which is fetched with several under way.
            (vec![fetch(0..2 << 30), copy(0, 0, 2 << 30)], true),
        ] {
            assert_eq!(is_worth_it(&pieces), is_worth, "{pieces:?}");
        }
    }

    #[test]
    fn there_are_only_so_many_requests() {
        let rows: Vec<_> =
            (0..20_000u32).map(|n| (60 * KIB, Some((n % 2) as u8).filter(|n| *n > 0))).collect();
        let new = Table::of(&rows);
        let pieces = plan(&new, new.tail(), &[(blob(0), Table::of(&[(60 * KIB, Some(1))]))]);
        assert!(pieces.len() < 10 && !is_worth_it(&pieces), "{}", pieces.len());
    }

    #[test]
    fn parts_are_no_larger_than_memory_allows() {
        let pieces = [fetch(5..10), copy(0, 0, 9), fetch(19..19 + 2 * PART + 1)];
        let found: Vec<_> = parts(&pieces).collect();
        assert_eq!(found, [5..10, 19..19 + PART, 19 + PART..19 + 2 * PART, 19 + 2 * PART..20 + 2 * PART]);
    }

    fn tables() -> impl Strategy<Value = Vec<(u64, Option<u8>)>> {
        proptest::collection::vec((1..200_000u64, proptest::option::of(0..20u8)), 0..60)
    }

    proptest! {
        #[test]
        fn pieces_cover_the_blob_in_order(
            new in tables(), old in proptest::collection::vec(tables(), 0..4), more in 0..1000u64, done in 0..10_000_000u64
        ) {
            let new = Table::of(&new);
            let old: Vec<_> = old.iter().enumerate().map(|(n, rows)| (blob(n as u8), Table::of(rows))).collect();
            let size = new.tail() + more;
            let pieces = plan(&new, size, &old);
            for done in [0, done % (size + 1)] {
                let mut at = done;
                for piece in rest(&pieces, done) {
                    prop_assert!(piece.length() > 0);
                    match &piece {
                        Piece::Fetch { range } | Piece::Held { range } => prop_assert_eq!(range.start, at),
                        Piece::Copy { blob, from, length } => {
                            let (_, table) = &old[usize::from(blob.bytes()[0])];
                            prop_assert!(from + length <= table.tail());
                        }
                    }
                    at += piece.length();
                }
                prop_assert_eq!(at, size);
            }
            let fetched: u64 = pieces.iter().filter(|p| matches!(p, Piece::Fetch { .. })).map(Piece::length).sum();
            prop_assert_eq!(parts(&pieces).map(|range| range.end - range.start).sum::<u64>(), fetched);
            prop_assert!(parts(&pieces).all(|range| range.end - range.start <= PART));
        }
    }
}
