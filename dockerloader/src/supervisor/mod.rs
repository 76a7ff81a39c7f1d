//! The supervisor: process 1 of a container, or a subreaper elsewhere. One synchronous thread, no network, no runtime.
//!
//! `machine` decides (pure), the rest of this folder does: `signals` and `children` for processes, `start` for executing,
//! `relay` and `tail` for output, `server` and `notify` for requests, `ground` for the slots, `run` for the loop that joins them.

mod children;

mod exit;

mod ground;

mod helper;

mod lock;

mod machine;

mod notify;

mod relay;

mod run;

mod server;

mod session;

mod signals;

mod start;

mod sys;

mod tail;

pub use exit::Exit;
pub(crate) use lock::{LockError, Locked, take_place};
pub use run::run;
