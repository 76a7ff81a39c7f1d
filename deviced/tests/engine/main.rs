//! The engine: against a real Docker daemon, a real Podman, a proxy that fails on demand, and answers of other engines that were written down.

mod ground;

mod recorded;

mod faults;

mod docker;

mod drift;

mod podman;
