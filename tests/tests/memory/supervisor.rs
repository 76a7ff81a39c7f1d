//! What pulls leave in process 1, which runs for years.

use fixtures::image::{BuiltImage, Image, Layer, noise};
use fixtures::registry::Registry;
use tests::supervised::Stage;

/// What measuring twice may differ by.
const TOLERATED: u64 = 100;

/// Kilobytes of a process, to the page.
#[derive(Debug, Clone, Copy)]
struct Memory {
    resident: u64,
    /// What is not read from a file: heap, stacks, variables.
    own: u64,
}

impl Memory {
    fn of(pid: i32) -> Self {
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("its figures");
        let field = |name| {
            let field = text.lines().find_map(|line| line.strip_prefix(name));
            field.and_then(|field| field.trim().strip_suffix(" kB")?.parse().ok()).expect("kilobytes")
        };
        Self { resident: field("Rss:"), own: field("Anonymous:") }
    }
}

fn image(seed: u64, files: u64) -> BuiltImage {
    let layer = (0..files).fold(Layer::new(), |layer, number| {
        layer.file(&format!("file-{number:05}"), 0o644, &noise(seed + number, 10_000))
    });
    Image::with_entrypoint(b"#!/bin/sh\nexec sleep 1000\n").layer(layer).build()
}

#[test]
fn a_pull_leaves_nothing_in_the_supervisor() {
    let stage = Stage::with_current("echo started > @notes/started; exec sleep 1000");
    let registry = Registry::start();
    let target = registry.reference("app", "v1");
    let mut running = stage.supervise(&[("DOCKERLOADER_TARGET", &target), ("DOCKERLOADER_POLL", "never")]);
    stage.note("started");
    running.event("run", 1);
    let check = |image: &BuiltImage| {
        registry.put("app", "v1", image);
        let mut command = stage.command(&["check"]);
        let output = command.env("DOCKERLOADER_TARGET", &target).output().expect("the program under test");
        assert_eq!(output.status.code(), Some(42), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(stage.ground.read_slot("entrypoint-attempt").as_ref(), Some(&image.digest));
        Memory::of(running.pid)
    };
    let idle = Memory::of(running.pid);
    // The code that asks for a pull and takes its answer is read from the program's file now.
    let first = check(&image(1, 10));
    let others = [check(&image(1_000_000, 5_000)), check(&image(2_000_000, 100))];
    println!("in kB: {idle:?} before the first pull, {first:?} after it, {others:?} after larger ones");
    assert!(first.own.abs_diff(idle.own) <= TOLERATED, "{first:?}, {idle:?} before");
    for other in others {
        assert!(other.resident.abs_diff(first.resident) <= TOLERATED, "{other:?}, {first:?} before");
    }
}
