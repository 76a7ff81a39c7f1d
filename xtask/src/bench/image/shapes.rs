//! The shapes of images, and how one version differs from the next. Pure.

use super::layer::Layer;

/// How big images are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bench) enum Scale {
    /// About 300 MB compressed.
    Full,
    /// About 15 MB compressed, for slow lines.
    Small,
    /// A few MB, to try the benchmark out.
    Tiny,
}

impl Scale {
    const fn divide(self, full: u64) -> u64 {
        match self {
            Self::Full => full,
            Self::Small => full / 20,
            Self::Tiny => full / 100,
        }
    }
}

/// A succession of versions of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bench) enum Recipe {
    /// Small files: a distribution, a runtime of 600 MB in 46,000 files, and an application. All versions are the same.
    Many,
    /// Few large files.
    Large,
    /// 40 layers.
    Layers,
    /// `Many`, of which only the top layer of 2 MB changes.
    Top,
    /// `Many`, of which the layer of 600 MB is rebuilt with 1 % of its files different.
    Rebuilt,
    /// `Large`, of which a few bytes in one file of 260 MB change.
    InPlace,
    /// `Many`, of which the lowest layer is replaced.
    Base,
}

const MEGABYTE: u64 = 1_000_000;
/// Files of the distribution, of the runtime, and of the application: 190, 600 and 6 MB, 84, 228 and 2 MB compressed.
const MANY: [(&str, u64); 3] = [("distribution", 15_000), ("runtime", 46_000), ("application", 650)];
const LAYERS: u64 = 40;

impl Recipe {
    /// The name of its repository.
    pub(in crate::bench) const fn name(self) -> &'static str {
        match self {
            Self::Many => "many",
            Self::Large => "large",
            Self::Layers => "layers",
            Self::Top => "top",
            Self::Rebuilt => "rebuilt",
            Self::InPlace => "in-place",
            Self::Base => "base",
        }
    }

    /// The layers of a version, lowest first.
    pub(super) fn layers(self, scale: Scale, version: u64) -> Vec<Layer> {
        match self {
            Self::Large => large(scale, 0),
            Self::InPlace => large(scale, version),
            Self::Layers => (0..LAYERS).map(|number| one_of_many(scale, number)).collect(),
            Self::Many => many(scale, 0, 0, 0),
            Self::Top => many(scale, 0, 0, version),
            Self::Rebuilt => many(scale, 0, version, 0),
            Self::Base => many(scale, version, 0, 0),
        }
    }
}

/// The versions of each of the three layers.
fn many(scale: Scale, distribution: u64, runtime: u64, application: u64) -> Vec<Layer> {
    let [bottom, middle, top] = MANY.map(|(name, files)| (name.to_owned(), scale.divide(files)));
    let layer = |(name, files): &(String, u64), seed| Layer {
        name: name.clone(),
        seed,
        files: *files,
        ..Layer::default()
    };
    vec![
        Layer { entrypoint: true, ..layer(&bottom, 1 + 100 * distribution) },
        Layer { rebuilt: runtime, ..layer(&middle, 2) },
        Layer { removes: Some(bottom), ..layer(&top, 3 + 100 * application) },
    ]
}

fn large(scale: Scale, patched: u64) -> Vec<Layer> {
    let layer = |name: &str, seed, megabytes: &[u64]| Layer {
        name: name.to_owned(),
        seed,
        large: megabytes.iter().map(|length| scale.divide(length * MEGABYTE)).collect(),
        ..Layer::default()
    };
    vec![
        Layer { entrypoint: true, ..layer("system", 11, &[60, 50, 40, 40, 30]) },
        Layer { patched, ..layer("model", 12, &[260, 30]) },
        layer("programs", 13, &[90, 60, 50, 40, 30, 20]),
    ]
}

fn one_of_many(scale: Scale, number: u64) -> Layer {
    Layer {
        name: format!("step{number:02}"),
        seed: 1_000 + number,
        files: scale.divide(600),
        large: vec![scale.divide(13 * MEGABYTE)],
        entrypoint: number == 0,
        ..Layer::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_differ_in_the_layer_that_they_are_about() {
        for (recipe, differing) in [
            (Recipe::Many, &[] as &[usize]),
            (Recipe::Large, &[]),
            (Recipe::Layers, &[]),
            (Recipe::Top, &[2]),
            (Recipe::Rebuilt, &[1]),
            (Recipe::InPlace, &[1]),
            (Recipe::Base, &[0]),
        ] {
            let (one, two) = (recipe.layers(Scale::Tiny, 1), recipe.layers(Scale::Tiny, 2));
            let found = (0..one.len()).filter(|index| one[*index] != two[*index]).collect::<Vec<_>>();
            assert_eq!(found, differing, "{recipe:?}");
        }
        assert_eq!(Recipe::Layers.layers(Scale::Full, 0).len(), 40);
    }

    #[test]
    fn many_small_files_are_60_000_to_90_000() {
        let files = Recipe::Many.layers(Scale::Full, 0).iter().map(|layer| layer.files).sum::<u64>();
        assert!((60_000..90_000).contains(&files), "{files}");
    }
}
