//! Which of the ways in which the units of a moment may turn out are looked at: pure.
//!
//! All of them, as long as they are few. What is scratch has no say in any decision, so it is varied one thing at a time, beside all
//! combinations of what has (`docs/proofs/crash.md` has the argument).

use std::collections::BTreeSet;

use super::units::{Class, Unit};

/// One way in which all units turn out: for each, the number of its outcome.
pub(super) type Choice = Vec<u8>;

/// How many combinations are looked at, at most, where there are more than can be looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Of the units that decisions are made by: up to so many, all of them.
    pub(super) combinations: usize,
    /// So many of each scratch thing's parts are varied alone.
    pub(super) parts: usize,
    /// So many at random, where not all are looked at.
    pub(super) random: usize,
}

/// The choices, each once, the one without a crash's damage first.
pub(super) fn choices(units: &[Unit], bounds: Bounds, seed: u64) -> Vec<Choice> {
    let mut random = Random(seed | 1);
    let whole: Choice = units.iter().map(last).collect();
    let lost: Choice = vec![0; units.len()];
    let of = |wanted: fn(&Class) -> bool| -> Vec<usize> {
        (0..units.len()).filter(|index| wanted(&units[*index].class)).collect()
    };
    let named = of(|class| *class == Class::Named);
    let free = of(|class| *class != Class::Named);
    let mut found = vec![whole.clone(), lost.clone()];

    // Everything that decisions are made by, in all combinations, with all the rest there or lost.
    let mut combinations = vec![whole.clone(), lost.clone()];
    let count =
        named.iter().try_fold(1_usize, |count, index| count.checked_mul(units[*index].outcomes.len()));
    if count.is_some_and(|count| count <= bounds.combinations) {
        combinations = product(units, &named, &whole);
    } else {
        combinations.extend(one_by_one(units, &named, &whole, &lost));
        combinations.extend(prefixes(&named, &whole, &lost));
        for _ in 0..bounds.random {
            combinations.push(at_random(units, &named, &whole, &mut random));
        }
    }
    for combination in combinations {
        found.push(combination.clone());
        found.push(with(&combination, &free, |_| 0));
    }

    // The rest, one thing at a time: with everything else there, and with everything else lost.
    for group in groups(units, &free) {
        for base in [&whole, &with(&whole, &free, |_| 0), &lost] {
            // All of the thing, in each of its ways.
            found.push(with(base, &group, |_| 0));
            found.push(with(base, &group, |index| last(&units[index])));
            for way in 1..3 {
                found.push(with(base, &group, |index| way.min(last(&units[index]))));
            }
            // And its parts alone.
            let parts = some(&group, bounds.parts, &mut random);
            for part in &parts {
                for outcome in 0..=last(&units[*part]) {
                    found.push(with(base, &[*part], |_| outcome));
                }
            }
        }
    }
    let mut seen = BTreeSet::new();
    found.retain(|choice| seen.insert(choice.clone()));
    found
}

fn last(unit: &Unit) -> u8 {
    u8::try_from(unit.outcomes.len() - 1).unwrap_or(u8::MAX)
}

fn with(base: &Choice, indexes: &[usize], outcome: impl Fn(usize) -> u8) -> Choice {
    let mut choice = base.clone();
    indexes.iter().for_each(|index| choice[*index] = outcome(*index));
    choice
}

fn product(units: &[Unit], indexes: &[usize], whole: &Choice) -> Vec<Choice> {
    let mut found = vec![whole.clone()];
    for index in indexes {
        let before = std::mem::take(&mut found);
        for choice in before {
            found.extend((0..=last(&units[*index])).map(|outcome| with(&choice, &[*index], |_| outcome)));
        }
    }
    found
}

/// One unit different from all others, in each of its ways.
fn one_by_one(units: &[Unit], indexes: &[usize], whole: &Choice, lost: &Choice) -> Vec<Choice> {
    let lost = with(whole, indexes, |index| lost[index]);
    let mut found = Vec::new();
    for index in indexes {
        for outcome in 0..=last(&units[*index]) {
            found.push(with(whole, &[*index], |_| outcome));
            found.push(with(&lost, &[*index], |_| outcome));
        }
    }
    found
}

/// As a file system with a journal would have it: everything up to some operation.
fn prefixes(indexes: &[usize], whole: &Choice, lost: &Choice) -> Vec<Choice> {
    (0..indexes.len()).map(|length| with(whole, &indexes[length..], |index| lost[index])).collect()
}

fn at_random(units: &[Unit], indexes: &[usize], whole: &Choice, random: &mut Random) -> Choice {
    let mut choice = whole.clone();
    for index in indexes {
        choice[*index] = u8::try_from(random.below(units[*index].outcomes.len())).unwrap_or(0);
    }
    choice
}

/// What belongs together: everything of one scratch path; each cache by itself.
fn groups(units: &[Unit], free: &[usize]) -> Vec<Vec<usize>> {
    let mut groups: Vec<(&[u8], Vec<usize>)> = Vec::new();
    for index in free {
        match &units[*index].class {
            Class::Scratch(path) => match groups.iter_mut().find(|(name, _)| *name == path.as_slice()) {
                Some((_, group)) => group.push(*index),
                None => groups.push((path, vec![*index])),
            },
            Class::Cache | Class::Named => groups.push((b"/", vec![*index])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// At most so many of them, spread over all.
fn some(indexes: &[usize], most: usize, random: &mut Random) -> Vec<usize> {
    if indexes.len() <= most {
        return indexes.to_vec();
    }
    let picked: BTreeSet<usize> = (0..most).map(|_| indexes[random.below(indexes.len())]).collect();
    picked.into_iter().collect()
}

/// xorshift64*: the same numbers for the same seed, everywhere.
#[derive(Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % end.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::units::{About, Outcome};
    use super::*;

    fn unit(class: Class, outcomes: usize) -> Unit {
        Unit { class, outcomes: vec![Outcome::Lost; outcomes], about: About::Operation(0) }
    }

    const BOUNDS: Bounds = Bounds { combinations: 64, parts: 2, random: 5 };

    #[test]
    fn few_units_are_combined_in_all_ways() {
        let units = [unit(Class::Named, 2), unit(Class::Named, 3), unit(Class::Named, 2)];
        assert_eq!(choices(&units, BOUNDS, 1).len(), 12);
        assert_eq!(choices(&units, BOUNDS, 1)[0], [1, 2, 1]);
    }

    #[test]
    fn what_is_scratch_is_varied_one_thing_at_a_time() {
        let scratch = |name: &str| unit(Class::Scratch(name.as_bytes().to_vec()), 2);
        let units = [unit(Class::Named, 2), scratch("a"), scratch("b"), scratch("c"), scratch("d")];
        let found = choices(&units, BOUNDS, 1);
        // Both ways of the named one, with all and with none of the rest; with one more or one fewer of the rest.
        assert!(found.len() >= 4 + 2 * 4 && found.len() < 32, "{found:?}");
        assert!(found.contains(&vec![1, 0, 1, 1, 1]) && found.contains(&vec![0, 0, 0, 0, 0]));
    }

    #[test]
    fn many_units_are_bounded_and_the_same_each_time() {
        let units: Vec<_> = (0..40).map(|_| unit(Class::Named, 2)).collect();
        let found = choices(&units, BOUNDS, 7);
        assert!(found.len() > 80 && found.len() < 200, "{}", found.len());
        assert_eq!(found, choices(&units, BOUNDS, 7));
    }
}
