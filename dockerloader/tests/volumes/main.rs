//! Updates on real file systems: ext4, where files are copied, XFS, where they share blocks, and btrfs with its snapshots.
#![cfg(feature = "loader")]
#![expect(clippy::disallowed_methods, reason = "the tests make, damage and look at what is on the disk")]

mod volume;

mod images;

mod scene;

mod methods;

mod updates;

mod spares;

mod overlays;
