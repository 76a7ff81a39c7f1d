//! Whether an image has room on the engine's disk. Pure.

use std::time::Duration;

use dockerloader::clock::Instant;
use dockerloader::digest::Digest;

/// What a layer takes while it is pulled, in times of its compressed size: itself, and what it is extracted to.
const TIMES: u64 = 4;
/// What stays free for everything else.
const RESERVE: u64 = 64 << 20;
/// An engine may have run out of something else than bytes, of which nobody sees that there is more again.
const KNOWN: Duration = Duration::from_secs(24 * 3600);

/// A pull that ran out of room.
#[derive(Debug, Clone, Copy)]
pub(super) struct RanOut {
    /// Bytes that were free before.
    pub(super) free: u64,
    /// Other pulls took room meanwhile: by itself it may have enough.
    pub(super) was_crowded: bool,
    pub(super) at: Instant,
}

impl RanOut {
    /// Whether it still says something.
    pub(super) fn is_known(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < KNOWN
    }
}

/// Whether a pull may begin that has run out of room or not, and the bytes that are known to be too few for it. Else why it has to wait.
pub(super) fn begin(ran_out: Option<&RanOut>, others_are_pulled: bool) -> Result<Option<u64>, &'static str> {
    match ran_out {
        None => Ok(None),
        Some(_) if others_are_pulled => {
            Err("the engine's disk had no room for it; it waits until no other image is pulled")
        }
        Some(ran_out) => Ok((!ran_out.was_crowded).then_some(ran_out.free)),
    }
}

/// Why an image has no room; `None` if it has. Layers that are there already take none. What was free when a pull of it ran out of
/// room is known to be too little, whatever its manifest says.
pub(super) fn shortage(
    wanted: &[(Digest, u64)],
    there: &[(Digest, u64)],
    free: u64,
    too_little: Option<u64>,
) -> Option<String> {
    let mut missing: Vec<_> = wanted.iter().filter(|layer| !there.contains(layer)).collect();
    missing.sort();
    missing.dedup();
    let size = missing.iter().fold(0_u64, |sum, (_, size)| sum.saturating_add(*size));
    if size == 0 {
        return None;
    }
    let need = size.saturating_mul(TIMES).max(too_little.unwrap_or_default()).saturating_add(RESERVE);
    (need > free).then(|| {
        let needed = match too_little {
            None => format!("about {} are needed for {} to be pulled", megabytes(need), megabytes(size)),
            Some(free) => format!("{} free were too little, so {} are waited for", megabytes(free), megabytes(need)),
        };
        let free = megabytes(free);
        format!("no room on the engine's disk: {needed}, and {free} are free; make room, or take a smaller version")
    })
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_needs_room() {
        let layer = |name: u8, size| (Digest::from_bytes([name; 32]), size);
        let million = 1_000_000;
        let (base, old, new) = (layer(1, 500 * million), layer(2, million), layer(3, 2 * million));
        let reserve = RESERVE;
        for (wanted, there, free, has_room) in [
            (vec![base, new], vec![base, old], reserve + 8 * million, true),
            (vec![base, new], vec![base, old], reserve + 8 * million - 1, false),
            (vec![base, new], vec![], reserve + 8 * million, false),
            // The same layer twice is pulled once.
            (vec![new, new], vec![], reserve + 8 * million, true),
            (vec![base], vec![base], 0, true),
            (vec![layer(4, u64::MAX), layer(5, u64::MAX)], vec![], u64::MAX - 1, false),
        ] {
            let found = shortage(&wanted, &there, free, None);
            assert_eq!(found.is_none(), has_room, "{found:?}");
        }
        let told = shortage(&[new], &[], million, None).unwrap();
        assert!(told.contains("2 MB") && told.contains("1 MB are free"), "{told}");
    }

    #[test]
    fn what_ran_out_of_room_waits_for_others_and_knows_what_was_too_little_by_itself() {
        let ran_out = |was_crowded| RanOut { free: 7, was_crowded, at: dockerloader::clock::now() };
        for (before, others, expected) in [
            (None, false, Some(None)),
            (None, true, Some(None)),
            (Some(ran_out(false)), false, Some(Some(7))),
            (Some(ran_out(true)), false, Some(None)),
            (Some(ran_out(false)), true, None),
            (Some(ran_out(true)), true, None),
        ] {
            assert_eq!(begin(before.as_ref(), others).ok(), expected, "{before:?} {others}");
        }
        let at = dockerloader::clock::now();
        let before = RanOut { free: 7, was_crowded: false, at };
        assert!(before.is_known(at) && before.is_known(at + KNOWN - Duration::from_secs(1)));
        assert!(!before.is_known(at + KNOWN));
    }

    #[test]
    fn what_was_too_little_once_is_too_little_again() {
        let layer = (Digest::from_bytes([1; 32]), 1_000_000);
        let before = 500_000_000;
        for (free, has_room) in [(before, false), (before + RESERVE - 1, false), (before + RESERVE, true)] {
            let found = shortage(&[layer], &[], free, Some(before));
            assert_eq!(found.is_none(), has_room, "{found:?}");
        }
        let told = shortage(&[layer], &[], before, Some(before)).unwrap();
        assert!(told.contains("500 MB free were too little"), "{told}");
        assert_eq!(shortage(&[layer], &[layer], 0, Some(before)), None, "nothing is missing");
    }
}
