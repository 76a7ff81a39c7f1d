//! What is in the files: sizes as in real images, a little more than half of the bytes as compressible as text, the others
//! not at all.

use fixtures::image::noise;

/// Of the text that files are cut from; far more than a compressor looks back.
const POOL: usize = 4 << 20;
const WORDS: u64 = 4096;

/// The files of a layer, one after the other.
#[derive(Debug)]
pub(super) struct Content {
    random: Random,
    text: Vec<u8>,
}

impl Content {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let text = text(&mut random);
        Self { random, text }
    }

    /// The content of the next file: mostly a few KiB, sometimes megabytes, as programs and libraries are.
    pub(super) fn next_file(&mut self) -> Vec<u8> {
        let range = match self.random.below(1000) {
            0 => 1 << 20..2 << 20,
            1..20 => 32 << 10..128 << 10,
            20..200 => 4 << 10..24 << 10,
            _ => 0..4 << 10,
        };
        let length = range.start + self.random.below(range.end - range.start);
        if self.random.below(9) < 4 {
            return noise(self.random.next(), usize::try_from(length).unwrap_or_default());
        }
        let from = self.random.below(POOL as u64 / 2);
        let place = usize::try_from(from).unwrap_or_default();
        self.text
            .iter()
            .cycle()
            .skip(place)
            .take(usize::try_from(length).unwrap_or_default())
            .copied()
            .collect()
    }
}

/// Lines of made-up words, some of them often and most of them rarely, as in languages.
fn text(random: &mut Random) -> Vec<u8> {
    let words = (0..WORDS).map(|_| {
        let length = 2 + random.below(8);
        (0..length).map(|_| b'a' + (random.below(26) as u8)).collect::<Vec<_>>()
    });
    let words = words.collect::<Vec<_>>();
    let mut text = Vec::with_capacity(POOL);
    while text.len() < POOL {
        let rank = random.below(WORDS).min(random.below(WORDS)).min(random.below(WORDS));
        text.extend_from_slice(&words[rank as usize]);
        text.push(if random.below(12) == 0 { b'\n' } else { b' ' });
    }
    text
}

/// SplitMix64: quality doesn't matter here, being the same everywhere does.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0, less than `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
