//! Waiting for facts. No test waits for time to pass: it looks until something is so, and fails when it never is.
#![expect(clippy::disallowed_methods, reason = "a test's deadline is no clock of the product")]

use std::time::{Duration, Instant};

/// Longer than anything may take, also on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const STEP: Duration = Duration::from_millis(4);

/// Looks until there is an answer.
///
/// # Panics
/// When there is none after 30 seconds; `what` says what was waited for.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = look() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain: {what}");
        std::thread::sleep(STEP);
    }
}

/// How long something takes.
pub fn timed<T>(what: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let result = what();
    (result, began.elapsed())
}
