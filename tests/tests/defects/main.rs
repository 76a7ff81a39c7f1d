//! Defects of our own and the kernel's memory killer: a panic, an abort, a hang, a flood. The helper's cost an update, never the
//! application; the supervisor's end both, and the next start recovers. The binary is the one that is shipped, unmodified: it is
//! signalled, starved, or runs with `preload/trouble.c`.
#![expect(clippy::disallowed_methods, reason = "a test starts programs")]

mod scene;

mod puller;

mod memory;

mod supervisor;
