//! Maps of sparse files: where the bytes of the archive belong, between holes.
//!
//! GNU tar manual, "Storing Sparse Files": the old GNU format, and PAX formats 0.0, 0.1 and 1.0.

use crate::limits::Limits;

use super::header::natural;
use super::pax::decimal;
use super::refusal::Rule;

/// A stretch of a sparse file that the archive has bytes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where it starts in the file.
    pub offset: u64,
    /// How long it is.
    pub length: u64,
}

/// Adds the segments of an old GNU header or continuation block: pairs of 12-byte numbers, ended by an empty one.
pub(super) fn add_old_gnu(map: &mut Vec<Segment>, bytes: &[u8], limits: &Limits) -> Result<(), Rule> {
    for pair in bytes.chunks_exact(24) {
        let (offset, length) = pair.split_at(12);
        if length.first() == Some(&0) {
            break;
        }
        add(map, natural(offset, "sparse offset")?, natural(length, "sparse length")?, limits)?;
    }
    Ok(())
}

/// Adds one segment, within the cap.
pub(super) fn add(map: &mut Vec<Segment>, offset: u64, length: u64, limits: &Limits) -> Result<(), Rule> {
    limits.sparse_segments.check(map.len() as u64 + 1)?;
    map.push(Segment { offset, length });
    Ok(())
}

/// PAX 0.1: `offset,length,offset,length` in one record.
pub(super) fn parse_list(map: &mut Vec<Segment>, value: &[u8], limits: &Limits) -> Result<(), Rule> {
    map.clear();
    let mut numbers = value.split(|&byte| byte == b',').map(decimal);
    while let Some(offset) = numbers.next() {
        let (Some(offset), Some(Some(length))) = (offset, numbers.next()) else {
            return Err(Rule::Sparse("malformed list"));
        };
        add(map, offset, length, limits)?;
    }
    Ok(())
}

/// PAX 1.0: the map precedes the contents, as decimal lines: the count, then offset and length of each.
#[derive(Debug, Default)]
pub(super) struct Lines {
    count: Option<u64>,
    offset: Option<u64>,
    digits: u32,
    value: u64,
}

impl Lines {
    /// Reads one byte; `true` when the map is complete and the rest of the block is padding.
    pub(super) fn push(&mut self, map: &mut Vec<Segment>, byte: u8, limits: &Limits) -> Result<bool, Rule> {
        const MALFORMED: Rule = Rule::Sparse("malformed map before the contents");
        match byte {
            b'0'..=b'9' => {
                self.digits += 1;
                let grown = self.value.checked_mul(10).and_then(|v| v.checked_add(u64::from(byte - b'0')));
                // More digits than any number has, even with leading zeros, only cost time.
                self.value = grown.filter(|_| self.digits <= 20).ok_or(MALFORMED)?;
            }
            b'\n' if self.digits > 0 => {
                let value = std::mem::take(&mut self.value);
                self.digits = 0;
                match (self.count, self.offset.take()) {
                    (None, _) => self.count = Some(limits.sparse_segments.check(value)?),
                    (Some(_), None) => self.offset = Some(value),
                    (Some(_), Some(offset)) => add(map, offset, value, limits)?,
                }
            }
            _ => return Err(MALFORMED),
        }
        Ok(self.digits == 0 && self.offset.is_none() && self.count == Some(map.len() as u64))
    }
}

/// Whether the map is in order, inside the file, and of exactly the bytes that the archive has.
pub(super) fn validate(map: &[Segment], real_size: u64, stored: u64) -> Result<(), Rule> {
    let (mut end, mut total) = (0u64, 0u64);
    for segment in map {
        if segment.offset < end {
            return Err(Rule::Sparse("segments overlap or are out of order"));
        }
        end = segment
            .offset
            .checked_add(segment.length)
            .ok_or(Rule::Sparse("a segment ends beyond any size"))?;
        total += segment.length;
    }
    if end > real_size {
        return Err(Rule::Sparse("a segment lies beyond the end of the file"));
    }
    if total != stored {
        return Err(Rule::Sparse("the segments are not as long as the contents"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_must_be_ordered_inside_and_complete() {
        let map = |pairs: &[(u64, u64)]| -> Vec<Segment> {
            pairs.iter().map(|&(offset, length)| Segment { offset, length }).collect()
        };
        assert!(validate(&map(&[(0, 3), (3, 2), (10, 0)]), 10, 5).is_ok());
        assert!(validate(&map(&[]), 1 << 40, 0).is_ok());
        for (pairs, real, stored) in [
            (vec![(0, 3), (2, 2)], 10, 5),
            (vec![(5, 1), (0, 1)], 10, 2),
            (vec![(9, 2)], 10, 2),
            (vec![(u64::MAX, 2)], u64::MAX, 2),
            (vec![(0, 3)], 10, 4),
        ] {
            assert!(validate(&map(&pairs), real, stored).is_err(), "{pairs:?}");
        }
    }

    #[test]
    fn map_lines_are_read_to_the_byte() {
        let limits = Limits::default();
        let read = |text: &[u8]| -> Result<(Vec<Segment>, usize), Rule> {
            let (mut map, mut lines) = (Vec::new(), Lines::default());
            for (at, &byte) in text.iter().enumerate() {
                if lines.push(&mut map, byte, &limits)? {
                    return Ok((map, at + 1));
                }
            }
            Err(Rule::Sparse("incomplete"))
        };
        assert_eq!(read(b"0\n\0").unwrap(), (vec![], 2));
        let two = vec![Segment { offset: 0, length: 5 }, Segment { offset: 4096, length: 1 }];
        assert_eq!(read(b"2\n0\n5\n4096\n1\n\0\0").unwrap(), (two, 13));
        for bad in
            [b"\n".as_slice(), b"x\n", b"1\n-1\n", b"2\n0\n5\n", b"100001\n", b"000000000000000000000\n"]
        {
            assert!(read(bad).is_err(), "{}", bad.escape_ascii());
        }
    }
}
