//! The images that are pulled: made from a corpus and a seed, the same everywhere.

mod content;
mod layer;

mod shapes;

mod build;
mod store;

pub(super) use build::{Chain, Image, Works};
pub(super) use content::Random;
pub(super) use shapes::{Recipe, Scale};
#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
pub(crate) use store::Store;
pub(super) use store::TAG;
