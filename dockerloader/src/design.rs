//! The data directory, the invariants and the exit codes: what code, tests and documentation refer to.
//!
//! # On disk
//!
//! ```text
//! <data>/dockerloader/
//!   entrypoint              -> storage/v1/extracted/sha256:A/entrypoint     current, stable
//!   entrypoint-attempt      -> .../sha256:B/entrypoint                      staged
//!   entrypoint-attempting   -> .../sha256:B/entrypoint                      on trial
//!   entrypoint-previous     -> .../sha256:P/entrypoint                      the way back
//!   update-attempt          digest of the version whose attempt failed
//!   state.json              verdicts, attempt counter, probation
//!   supervisor.lock, supervisor.json      the one supervisor, and where it can be reached
//!   store.lock                            whoever changes the store
//!   storage/v1/blobs/sha256:<hex>         layers and configs; partial-sha256:<hex> is a download
//!   storage/v1/images/sha256:<hex>        manifests of one platform
//!   storage/v1/extracted/sha256:<hex>/    file systems; tmp-*, removing-*: work under way
//!   storage/v1/seals/sha256:<hex>         what was extracted
//!   storage/v1/stamps/sha256:<hex>        when its files were changed last
//!   storage/v1/indexes/sha256:<hex>       what a layer does, without its contents
//!   storage/v1/launch/sha256:<hex>        how it is started
//!   storage/v1/resolved.json              what the target's tag stood for at the last look
//! ```
//!
//! A version is the digest of its manifest. Links are absolute; the part from `storage/v1/extracted` on decides, so that a
//! volume may be mounted elsewhere.
//!
//! # Invariants
//!
//! - **I1** After any fault, exactly one version runs, or the last known good starts by itself.
//! - **I2** No executed file differs from its digest.
//! - **I3** At least one good version stays on disk; nothing that a slot, the journal or a running process names is deleted.
//! - **I4** A digest that the application itself failed on is never started again unasked.
//! - **I5** A digest never judged by the application is not blacklisted.
//! - **I6** A restart converges in finite steps without a person, without a registry, whatever the wall clock says.
//! - **I7** Two managers never act at once.
//! - **I8** Reported state is real state.
//!
//! # Exit codes
//!
//! | application | supervisor |
//! |---|---|
//! | 42, something staged | tries it |
//! | 42, nothing staged | starts it again, with a growing pause |
//! | other code | the same code |
//! | killed by signal n | 128+n |
//! | any of these on trial | rolls back and runs the version before |
//!
//! By itself it ends with 70 (defect), 74 (data directory), 75 (locked), 78 (setting), 126 and 127 (can't execute).
