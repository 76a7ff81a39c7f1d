//! What each update is to be: drawn by a seed, pure.

use crate::seeded::Seeded;

/// What becomes of one update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Works.
    Good,
    /// Exits with 3 at once.
    Crash,
    /// Is never ready.
    Hang,
    /// Exits with 42 at once.
    Restart,
    /// Works; the registry does not at first.
    Faults,
    /// Works; everything is killed in the middle.
    PowerCut,
    /// Works; the puller is killed in the middle.
    PullerKilled,
}

impl Kind {
    pub(super) const ALL: [Self; 7] = [
        Self::Good,
        Self::Crash,
        Self::Hang,
        Self::Restart,
        Self::Faults,
        Self::PowerCut,
        Self::PullerKilled,
    ];

    /// For people.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Crash => "crashes in its trial",
            Self::Hang => "hangs in its trial",
            Self::Restart => "exits with 42 at once",
            Self::Faults => "good, registry faults",
            Self::PowerCut => "good, power cut",
            Self::PullerKilled => "good, puller killed",
        }
    }

    /// Whether the new version runs in the end.
    pub(super) const fn is_good(self) -> bool {
        !matches!(self, Self::Crash | Self::Hang | Self::Restart)
    }
}

/// The mix: 70 % good, 10 % crash, 5 % hang, 5 % exit 42, 5 % registry faults, 5 % killed. A supervisor that is killed says nothing
/// about what it loses in a long life, so the updates are dealt in blocks: in every other one the puller alone is killed.
pub(super) fn draw(seed: u64, updates: usize) -> Vec<Kind> {
    let mut seeded = Seeded::new(seed);
    let block = block(updates);
    (0..updates)
        .map(|update| match seeded.below(100) {
            0..70 => Kind::Good,
            70..80 => Kind::Crash,
            80..85 => Kind::Hang,
            85..90 => Kind::Restart,
            90..95 => Kind::Faults,
            _ if (update / block).is_multiple_of(2) => Kind::PowerCut,
            _ => Kind::PullerKilled,
        })
        .collect()
}

/// Updates in a block.
pub(super) fn block(updates: usize) -> usize {
    (updates / 2).clamp(1, 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mix_is_that_of_the_promise_and_the_same_each_time() {
        let drawn = draw(1, 100_000);
        assert_eq!(drawn, draw(1, 100_000));
        assert_ne!(drawn, draw(2, 100_000));
        let share = |kinds: &[Kind]| drawn.iter().filter(|kind| kinds.contains(kind)).count() / 1000;
        assert!(share(&[Kind::Good]).abs_diff(70) <= 1);
        assert!(share(&[Kind::Crash]).abs_diff(10) <= 1);
        for kinds in
            [&[Kind::Hang][..], &[Kind::Restart], &[Kind::Faults], &[Kind::PowerCut, Kind::PullerKilled]]
        {
            assert!(share(kinds).abs_diff(5) <= 1, "{kinds:?}");
        }
        assert!(!drawn[1000..2000].contains(&Kind::PowerCut), "a long life");
        assert!(drawn[..1000].contains(&Kind::PowerCut));
    }
}
