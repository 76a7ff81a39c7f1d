//! What is in a file: a cut of the corpus, chosen by a number.

use std::io::{self, Read};

/// What a file is cut from in one piece, at most.
const PIECE: u64 = 256 << 10;

/// SplitMix64: quality doesn't matter here, being the same everywhere does.
#[derive(Debug, Clone)]
pub(in crate::bench) struct Random(u64);

impl Random {
    pub(in crate::bench) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(in crate::bench) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0, less than `end`.
    pub(in crate::bench) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}

/// One number of several.
pub(super) fn mix(numbers: &[u64]) -> u64 {
    numbers
        .iter()
        .fold(0, |state, number| Random::new(state ^ number.wrapping_mul(0xA24B_AED4_963E_E407)).next())
}

/// How long a file of a distribution or a runtime is: mostly a few KiB, sometimes megabytes; 13 kB on average.
pub(super) fn length(seed: u64) -> u64 {
    let mut random = Random::new(seed);
    let range = match random.below(1000) {
        0..3 => 1 << 20..2 << 20,
        3..38 => 32 << 10..128 << 10,
        38..318 => 4 << 10..24 << 10,
        _ => 0..4 << 10,
    };
    range.start + random.below(range.end - range.start)
}

/// Reads a file: pieces of the corpus one after the other.
#[derive(Debug)]
pub(super) struct Cut<'c> {
    corpus: &'c [u8],
    random: Random,
    piece: &'c [u8],
    left: u64,
}

impl<'c> Cut<'c> {
    /// A file of this length; another seed is another file.
    pub(super) fn new(corpus: &'c [u8], seed: u64, length: u64) -> Self {
        Self { corpus, random: Random::new(seed), piece: &[], left: length }
    }
}

impl Read for Cut<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            let wanted = usize::try_from(PIECE.min(self.left)).unwrap_or_default().min(self.corpus.len());
            let from = self.random.below((self.corpus.len() - wanted) as u64 + 1);
            let from = usize::try_from(from).unwrap_or_default();
            self.piece = self.corpus.get(from..from + wanted).unwrap_or_default();
            self.left -= wanted as u64;
        }
        self.piece.read(buffer)
    }
}

/// A file of which a few bytes are others than before.
#[derive(Debug)]
pub(super) struct Patched<R> {
    pub(super) inner: R,
    /// How far it was read.
    pub(super) position: u64,
    pub(super) at: u64,
    pub(super) patch: [u8; 16],
}

impl<R: Read> Read for Patched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        for (place, byte) in
            (self.position..).zip(buffer.iter_mut().take(count)).filter(|(place, _)| *place >= self.at)
        {
            let Some(other) = usize::try_from(place - self.at).ok().and_then(|index| self.patch.get(index))
            else {
                break;
            };
            *byte = *other;
        }
        self.position += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut file: impl Read) -> Vec<u8> {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).expect("reading memory");
        bytes
    }

    #[test]
    fn a_cut_is_as_long_as_asked_and_the_same_each_time() {
        let corpus = fixtures::image::noise(1, 1 << 20);
        for length in [0, 1, 4096, PIECE, 3 * PIECE + 7] {
            let file = read(Cut::new(&corpus, 5, length));
            assert_eq!(file.len() as u64, length);
            assert_eq!(file, read(Cut::new(&corpus, 5, length)));
            assert!(length < 2 || file != read(Cut::new(&corpus, 6, length)));
        }
    }

    #[test]
    fn a_patch_changes_only_its_bytes() {
        let corpus = fixtures::image::noise(1, 1 << 20);
        let plain = read(Cut::new(&corpus, 5, 2 * PIECE));
        let at = PIECE - 3;
        let patched = Patched { inner: Cut::new(&corpus, 5, 2 * PIECE), position: 0, at, patch: [0xAA; 16] };
        let mut expected = plain;
        expected[at as usize..at as usize + 16].fill(0xAA);
        assert_eq!(read(patched), expected);
    }

    #[test]
    fn files_are_as_long_as_in_real_images_on_average() {
        let sum = (0..50_000).map(|file| length(mix(&[1, file]))).sum::<u64>();
        assert!((11_000..15_000).contains(&(sum / 50_000)), "{}", sum / 50_000);
    }
}
