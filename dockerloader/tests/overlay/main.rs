//! Versions of frozen directories, with real mounts on real file systems.

mod stage;

mod making;

mod clean_up;

mod trouble;
