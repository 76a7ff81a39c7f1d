//! Bad input and trouble, each with the real binary: a clear error, nothing lost, and the way back by itself.
#![expect(
    clippy::disallowed_methods,
    reason = "the tests start the program, and make the trouble, from outside"
)]

mod scene;

mod settings;

mod registries;

mod images;

mod layers;

mod directories;

mod damage;

mod healing;

mod disks;

mod mounts;

mod polls;

mod stops;
