//! Pulls where there is little memory.

use std::process::{Command, Stdio};
use std::time::Duration;

use fixtures::image::{BuiltImage, Compression, Image, Layer, noise};
use fixtures::registry::Registry;
use tests::group::Group;
use tests::process::status_field;
use tests::programs::built;
use tests::supervised::Stage;

/// Bytes that a pull has with everything in them, page cache included.
pub(crate) const ALLOWED: u64 = 64 << 20;

/// Bytes that a pull may have resident, whatever the size of an image, and for each of its entries: its place in the tree, in the index
/// of its layer, in seal and stamps.
const FIXED: u64 = 32 << 20;
const ENTRY: u64 = 350;

/// Pulls an image in a group of its own. Gives the most bytes that were resident.
fn pull(image: &BuiltImage) -> Option<u64> {
    let group = Group::new(ALLOWED)?;
    let (registry, stage) = (Registry::start(), Stage::new());
    registry.put("app", "v1", image);
    let mut command = group.command(&built("dockerloader"));
    stage.surround(&mut command);
    command.args(["pull", "--stage"]).env("DOCKERLOADER_TARGET", registry.reference("app", "v1"));
    let (peak, output) = watch(command);
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    assert_eq!(stage.ground.read_slot("entrypoint-attempt").as_ref(), Some(&image.digest));
    let with_cache = group.peak().map_or_else(|| "an unknown amount".to_owned(), kilobytes);
    println!("at most {} resident, {with_cache} with page cache", kilobytes(peak));
    Some(peak)
}

/// Runs a command to its end. What was resident is looked at until then: a process that has ended has no memory to tell of.
pub(crate) fn watch(mut command: Command) -> (u64, std::process::Output) {
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("a shell");
    let pid = i32::try_from(child.id()).expect("a process id");
    let watcher = std::thread::spawn(move || {
        let mut peak = 0;
        // The shell becomes the program, which has a memory of its own.
        while let Some(found) = status_field(pid, "VmHWM") {
            let is_shell = status_field(pid, "Name").is_none_or(|name| name != "dockerloader");
            let found = found.trim_end_matches(" kB").parse::<u64>().expect("kilobytes") << 10;
            peak = if is_shell { peak } else { peak.max(found) };
            std::thread::sleep(Duration::from_millis(1));
        }
        peak
    });
    let output = child.wait_with_output().expect("our own child");
    (watcher.join().expect("the watcher"), output)
}

pub(crate) fn kilobytes(bytes: u64) -> String {
    format!("{} kB", bytes >> 10)
}

pub(crate) fn assert_within(peak: u64, entries: u64) {
    let most = FIXED + entries * ENTRY;
    assert!(peak > 0, "nothing was seen");
    assert!(peak <= most, "{} resident, {} are enough", kilobytes(peak), kilobytes(most));
}

/// Neither its compressed nor its extracted bytes would fit.
#[test]
fn a_layer_several_times_larger_than_what_is_allowed() {
    let layer = Layer::new().file("large", 0o644, &noise(1, 200 << 20)).compression(Compression::Plain);
    let image = Image::with_entrypoint(b"#!/bin/sh\n").layer(layer).build();
    if let Some(peak) = pull(&image) {
        assert_within(peak, 2);
    }
}

/// Three hundred megabytes come out of ten.
#[test]
fn a_layer_that_becomes_much_larger_by_decompression() {
    let blocks = (0..5_000).flat_map(|seed| [noise(seed, 2_000), vec![b'x'; 60_000]]);
    let bytes = blocks.flatten().collect::<Vec<_>>();
    for compression in [Compression::Gzip, Compression::Zstd] {
        let layer = Layer::new().file("large", 0o644, &bytes).compression(compression);
        let image = Image::with_entrypoint(b"#!/bin/sh\n").layer(layer).build();
        let Some(peak) = pull(&image) else { return };
        assert_within(peak, 2);
    }
}

#[test]
fn many_files() {
    const FILES: u64 = 20_000;
    let layer = (0..FILES).fold(Layer::new(), |layer, number| {
        let directory = format!("opt/part{:03}", number / 100);
        let layer = if number.is_multiple_of(100) { layer.dir(&directory, 0o755) } else { layer };
        layer.file(&format!("{directory}/file-{number:05}"), 0o644, &noise(number, 500))
    });
    let image = Image::with_entrypoint(b"#!/bin/sh\n").layer(layer).build();
    if let Some(peak) = pull(&image) {
        assert_within(peak, FILES + FILES / 100);
    }
}
