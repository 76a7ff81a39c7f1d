//! Random images, random damage: an update and an extraction end in the same tree.

use std::path::Path;

use dockerloader::limits::Limits;
use dockerloader::tree::{
    Base, Contents, Depth, Extracted, LayerIndex, NoContents, Scope, Seal, Stamps, Update, verify,
    verify_stamps,
};

use crate::image;
use crate::random::Random;
use crate::trees::{Ground, Tree, extract};
use crate::workload::damage;

/// Pairs of images per test; each takes some ten milliseconds.
const PAIRS: u64 = 100;

/// The layers of two images that have the lower ones in common, as far as the dice say so.
fn pair(random: &mut Random, outside: &str) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let base: Vec<_> = (0..1 + random.below(3)).map(|_| image::layer(random, outside)).collect();
    let shared = random.below(base.len() + 1);
    let mut target = base[..shared].to_vec();
    target.extend((0..random.below(3)).map(|_| image::layer(random, outside)));
    (base, target)
}

/// One layer of the target: its bytes, or its index when nothing else is to be had.
enum Source<'l> {
    Blob(&'l [u8]),
    Index(&'l LayerIndex),
}

fn update(
    root: &Path,
    base: Base,
    layers: &[Source<'_>],
    contents: &dyn Contents,
) -> Result<Extracted, String> {
    let text = |error: dockerloader::tree::Error| error.to_string();
    let mut update = Update::new(root, base, Limits::default(), |_| ()).map_err(text)?;
    for layer in layers {
        match layer {
            Source::Blob(bytes) => drop(update.apply(*bytes, None).map_err(text)?),
            Source::Index(index) => update.replay(index).map_err(text)?,
        }
    }
    update.finish(contents).map_err(text)
}

fn stored(seal: &Seal, stamps: &Stamps) -> Base {
    let seal = Seal::parse(seal.as_bytes().to_vec()).unwrap();
    let stamps = Stamps::parse(stamps.as_bytes().to_vec(), &seal).unwrap();
    Base { seal, stamps: Some(stamps), frozen: false, scope: Scope::All }
}

/// The seal in words, for a comparison that can be read.
fn words(seal: &Seal) -> Vec<String> {
    let mut records = seal.records();
    let mut words = Vec::new();
    while let Some(record) = records.next() {
        let path = record.path.escape_ascii().to_string();
        words.push(format!("{path} {:?} {:?} {:?}", record.kind, record.attributes, record.xattrs));
    }
    words
}

/// Checks that the tree in `root` is that of the extraction, in every respect.
fn check(root: &Path, updated: &Extracted, extracted: &Extracted) {
    if updated.seal != extracted.seal {
        let (found, expected) = (words(&updated.seal), words(&extracted.seal));
        let missing: Vec<_> = expected.iter().filter(|word| !found.contains(word)).collect();
        let added: Vec<_> = found.iter().filter(|word| !expected.contains(word)).collect();
        panic!("other trees: expected {missing:#?}, found {added:#?}");
    }
    assert_eq!(verify(root, &updated.seal, Depth::Full), [], "the tree is not what its seal says");
    assert_eq!(verify_stamps(root, &updated.seal, &updated.stamps), [], "the stamps are of another tree");
    assert_eq!(updated.entries, extracted.entries);
}

/// Runs `compare` over pairs of images that can be extracted, with the ground they stand on.
fn for_pairs(compare: impl Fn(u64, &mut Random, &Ground, &[Vec<u8>], &[Vec<u8>])) {
    let mut compared = 0u64;
    for seed in 0..PAIRS {
        let mut random = Random::new(seed + 1);
        let ground = Ground::new();
        let outside = ground.outside();
        let (base, target) = pair(&mut random, outside.to_str().unwrap());
        let (trial, other) = (ground.root("trial"), ground.root("other"));
        if extract(&trial, &base).is_ok() && extract(&other, &target).is_ok() {
            compared += 1;
            let shown = scope(seed);
            compare(seed, &mut random, &ground, &base, &target);
            drop(shown);
            ground.check_outside();
        }
    }
    eprintln!("{compared} of {PAIRS} pairs");
    assert!(compared > PAIRS / 4, "only {compared} pairs could be extracted");
}

/// Says which pair it was when a comparison fails.
fn scope(seed: u64) -> impl Drop {
    struct Shown(u64);
    impl Drop for Shown {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("the pair is number {}", self.0);
            }
        }
    }
    Shown(seed)
}

#[test]
fn an_untouched_base_becomes_the_target_from_the_changed_layers_alone() {
    for_pairs(|_, _, ground, base, target| {
        let (root, cold) = (ground.root("root"), ground.root("cold"));
        let (from, indexes) = extract(&root, base).unwrap();
        let (expected, _) = extract(&cold, target).unwrap();
        let layers: Vec<_> = target
            .iter()
            .enumerate()
            .map(|(at, layer)| match base.get(at).filter(|lower| *lower == layer) {
                Some(_) => Source::Index(&indexes[at]),
                None => Source::Blob(layer),
            })
            .collect();
        match update(&root, stored(&from.seal, &from.stamps), &layers, &Tree(cold.clone())) {
            Ok(updated) => check(&root, &updated, &expected),
            Err(error) => panic!("{error}"),
        }
    });
}

#[test]
fn a_base_that_was_written_to_becomes_the_target() {
    for_pairs(|seed, random, ground, base, target| {
        let (root, cold) = (ground.root("root"), ground.root("cold"));
        let (from, _) = extract(&root, base).unwrap();
        let (expected, indexes) = extract(&cold, target).unwrap();
        for _ in 0..1 + random.below(6) {
            damage(&root, &ground.outside(), random);
        }
        let links = ground.links();
        let layers: Vec<_> = target
            .iter()
            .zip(&indexes)
            .map(|(layer, index)| if random.one_in(2) { Source::Blob(layer) } else { Source::Index(index) })
            .collect();
        let mut base = stored(&from.seal, &from.stamps);
        if seed % 3 == 0 {
            base.stamps = None;
        }
        let updated = update(&root, base, &layers, &Tree(cold.clone())).unwrap();
        check(&root, &updated, &expected);
        assert_eq!(ground.links(), links, "a file was changed under a name outside the tree");
        // And on to the same image again: nothing is left to do.
        let all: Vec<_> = indexes.iter().map(Source::Index).collect();
        let again = update(&root, stored(&updated.seal, &updated.stamps), &all, &NoContents).unwrap();
        check(&root, &again, &expected);
        assert_eq!((again.work.staged, again.work.removed, again.bytes), (0, 0, 0), "{:?}", again.work);
    });
}

#[test]
fn an_empty_directory_becomes_the_target_from_another_tree() {
    for_pairs(|_, _, ground, _, target| {
        let (root, cold) = (ground.root("root"), ground.root("cold"));
        let (expected, indexes) = extract(&cold, target).unwrap();
        let layers: Vec<_> = indexes.iter().map(Source::Index).collect();
        let updated = update(&root, Base::empty(), &layers, &Tree(cold.clone())).unwrap();
        check(&root, &updated, &expected);
        let read: Vec<_> = target.iter().map(|layer| Source::Blob(layer)).collect();
        let root = ground.root("read");
        let updated = update(&root, Base::empty(), &read, &NoContents).unwrap();
        check(&root, &updated, &expected);
    });
}

#[test]
fn a_layer_that_is_read_has_the_same_index_by_update_and_extraction() {
    for_pairs(|_, _, ground, base, target| {
        let (root, cold) = (ground.root("root"), ground.root("cold"));
        let (from, _) = extract(&root, base).unwrap();
        let (_, indexes) = extract(&cold, target).unwrap();
        let base = stored(&from.seal, &from.stamps);
        let mut update = Update::new(&root, base, Limits::default(), |_| ()).unwrap();
        for (layer, expected) in target.iter().zip(&indexes) {
            let index = update.apply(layer.as_slice(), None).unwrap();
            assert!(index == *expected, "another index: {index:?} instead of {expected:?}");
            let read = LayerIndex::parse(index.as_bytes().to_vec()).unwrap();
            assert!(read == index);
        }
    });
}
