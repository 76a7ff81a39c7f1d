//! What of a blob to ask for next. Bytes that the extraction needs first come first; the other connections work ahead.

use std::ops::Range;

use crate::blobs::spans::Spans;
use crate::blobs::{CHUNK, Partial};
use crate::registry::Blob;

use super::Error;

/// A blob is asked for in parts when more than this is missing of it.
const SPLIT: u64 = 32 << 20;

/// What is known about the source of a blob.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Parts {
    /// It has not been asked for a part.
    #[default]
    Unknown,
    /// It has answered with a part.
    Yes,
    /// It can't send parts, or they could not be put in their places.
    No,
}

/// What the next part follows from.
#[derive(Debug, Clone, Copy)]
struct Want<'w> {
    size: u64,
    /// What is on disk.
    present: &'w Spans,
    /// What has been asked for.
    claimed: &'w Spans,
    parts: Parts,
}

/// The bytes that another connection should ask for now; `None` when there is nothing for one more to do.
fn next_part(want: Want<'_>) -> Option<Range<u64>> {
    if want.parts != Parts::Yes && !want.claimed.is_empty() {
        // Whether it answers with parts shows in the answer that is waited for.
        return None;
    }
    let mut taken = want.present.clone();
    taken.extend(want.claimed);
    let gap = taken.gaps(0..want.size).iter().next()?.clone();
    let missing = want.size.saturating_sub(want.present.total());
    let is_split = match want.parts {
        Parts::No => false,
        Parts::Yes => true,
        Parts::Unknown => missing > SPLIT,
    };
    // To the end of the chunk, so that parts end where chunks do.
    let chunk_end = (gap.start / CHUNK + 1) * CHUNK;
    Some(if is_split { gap.start..gap.end.min(chunk_end) } else { gap })
}

/// The requests for one blob that are under way.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// What each has to bring.
    claims: Vec<(u64, Spans)>,
    parts: Parts,
    /// Who sent bytes of it, the first one first.
    pub(super) sources: Vec<String>,
}

impl Requests {
    /// Claims the bytes that one more request is to bring, if there are any. Says by which number.
    pub(super) fn claim(&mut self, partial: &mut Partial) -> Result<Option<u64>, Error> {
        let size = partial.size();
        let missing = size.saturating_sub(partial.present().total());
        if self.parts == Parts::Unknown && missing > SPLIT && !partial.allow_gaps()? {
            self.parts = Parts::No;
        }
        let claimed = self.claimed_by_others(None);
        let want = Want { size, present: partial.present(), claimed: &claimed, parts: self.parts };
        Ok(next_part(want).map(|range| {
            let id = self.claims.iter().map(|(id, _)| id + 1).max().unwrap_or(0);
            self.claims.push((id, std::iter::once(range).collect()));
            id
        }))
    }

    /// Whether none is under way.
    pub(super) const fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    /// What a request still has to bring.
    pub(super) fn missing(&self, id: u64, partial: &Partial) -> Spans {
        let claim = self.claims.iter().find(|(other, _)| *other == id);
        claim.map(|(_, claim)| claim.without(partial.present())).unwrap_or_default()
    }

    /// Learns from the answer to a request for `asked`. Whether to read it.
    pub(super) fn answered(&mut self, id: u64, asked: &Range<u64>, answer: &Blob, partial: &Partial) -> bool {
        if !self.sources.contains(&answer.source) {
            self.sources.push(answer.source.clone());
        }
        if answer.start == asked.start && answer.end == asked.end {
            if self.parts == Parts::Unknown && partial.has_gaps() {
                self.parts = Parts::Yes;
            }
            return true;
        }
        // All of it comes. One such answer is enough, and takes what nobody else brings.
        let is_first = self.parts != Parts::No || self.claims.len() == 1;
        self.parts = Parts::No;
        let mut others = self.claimed_by_others(Some(id));
        others.extend(partial.present());
        if let Some((_, claim)) = self.claims.iter_mut().find(|(other, _)| *other == id) {
            *claim = if is_first { others.gaps(0..partial.size()) } else { Spans::default() };
        }
        is_first
    }

    /// A request has ended.
    pub(super) fn release(&mut self, id: u64) {
        self.claims.retain(|(other, _)| *other != id);
    }

    fn claimed_by_others(&self, id: Option<u64>) -> Spans {
        let mut all = Spans::default();
        self.claims.iter().filter(|(other, _)| Some(*other) != id).for_each(|(_, claim)| all.extend(claim));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_first_is_asked_for_first() {
        use Parts::{No, Unknown, Yes};
        const M: u64 = 1 << 20;
        let some =
            |ranges: &[(u64, u64)]| ranges.iter().map(|&(from, to)| from * M..to * M).collect::<Spans>();
        for (size, present, claimed, parts, expected) in [
            (20, &[][..], &[][..], Unknown, Some((0, 20))),
            (20, &[], &[(0, 20)], Unknown, None),
            (20, &[(0, 5)], &[], Unknown, Some((5, 20))),
            (20, &[(0, 20)], &[], Unknown, None),
            (0, &[], &[], Unknown, None),
            // Large: its first chunk alone, then several at a time.
            (40, &[], &[], Unknown, Some((0, 8))),
            (40, &[], &[(0, 8)], Unknown, None),
            (40, &[], &[(0, 8)], Yes, Some((8, 16))),
            (40, &[(0, 2)], &[(2, 8), (8, 16)], Yes, Some((16, 24))),
            (40, &[(0, 32)], &[(32, 40)], Yes, None),
            (36, &[(0, 24)], &[(24, 32)], Yes, Some((32, 36))),
            // Not in parts: all that is missing, by one connection.
            (40, &[], &[], No, Some((0, 40))),
            (40, &[(0, 8)], &[(8, 40)], No, None),
            // What an earlier download left, to the end of the chunk.
            (80, &[(0, 3), (8, 9)], &[], Unknown, Some((3, 8))),
            (80, &[(0, 3), (8, 9)], &[(3, 8)], Yes, Some((9, 16))),
            (40, &[(0, 3), (8, 40)], &[], Unknown, Some((3, 8))),
            (40, &[(0, 3), (8, 40)], &[], No, Some((3, 8))),
        ] {
            let (present, claimed) = (some(present), some(claimed));
            let want = Want { size: size * M, present: &present, claimed: &claimed, parts };
            let expected = expected.map(|(from, to): (u64, u64)| from * M..to * M);
            assert_eq!(next_part(want), expected, "{want:?}");
        }
    }
}
