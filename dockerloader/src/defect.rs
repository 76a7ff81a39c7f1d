//! A panic is a defect of ours. It is logged where it happened, and ends the process with one code, whether the build unwinds or
//! aborts: a supervisor with its application, a command by itself.

use std::panic::PanicHookInfo;

/// The exit code of a process with a defect (`EX_SOFTWARE`, sysexits.h).
pub const EXIT_CODE: i32 = 70;

/// From now on a panic of any thread is logged as event `internal`, `before` is called, and the process ends with [`EXIT_CODE`].
/// `before` must not panic.
pub fn on_panic(before: fn()) {
    std::panic::set_hook(Box::new(move |panic| {
        tracing::error!(event = "internal", "{}", sentence(panic));
        before();
        std::process::exit(EXIT_CODE);
    }));
}

fn sentence(panic: &PanicHookInfo<'_>) -> String {
    let what = panic.payload_as_str().unwrap_or("no message");
    let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    format!("a defect of dockerloader at {place}: {what}; please report it with this line")
}
