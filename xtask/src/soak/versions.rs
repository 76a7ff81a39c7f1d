//! The images of the soak: one small script each, no two alike.

use fixtures::image::{BuiltImage, Image, Layer, noise};

use super::schedule::Kind;

/// Bytes that each version brings along.
const ASSETS: usize = 4096;

/// A version of this nature.
pub(super) fn image(number: usize, kind: Kind) -> BuiltImage {
    let script = format!("#!/bin/sh\n# version {number}\n{}\n", body(kind));
    let layer = Layer::new().file("entrypoint", 0o755, script.as_bytes()).file(
        "assets",
        0o644,
        &noise(number as u64, ASSETS),
    );
    Image::new().layer(layer).build()
}

/// A good version leaves an orphan behind, says that it is ready, and exits with 42 when another one is staged.
const GOOD: &str = "trap 'exit 0' TERM
( sleep 0.01 & )
\"$DOCKERLOADER_BINARY\" ready > /dev/null || exit 9
until [ -h \"$DOCKERLOADER_DATA_DIR/dockerloader/entrypoint-attempt\" ]; do sleep 0.02; done
exit 42";

const fn body(kind: Kind) -> &'static str {
    match kind {
        Kind::Good | Kind::Faults | Kind::PowerCut | Kind::PullerKilled => GOOD,
        Kind::Crash => "exit 3",
        Kind::Hang => "exec sleep 600",
        Kind::Restart => "exit 42",
    }
}
