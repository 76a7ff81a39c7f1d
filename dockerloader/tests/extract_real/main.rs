//! Real images of real builders, extracted here and by others, compared path by path.
//!
//! The first run makes the images, which takes some minutes and needs a Debian mirror; they are kept in the build directory.
//! Run with `--no-capture` to see how many paths were compared.
#![cfg(feature = "loader")]

mod images;
mod tools;

use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use dockerloader::digest::Digest;
use dockerloader::limits::Limits;
use dockerloader::tree::{Depth, Extraction, verify};

use fixtures::tree::{Facts, compare, list};

use images::Image;

/// One at a time: they share the cache, and the times that are printed mean something. Between processes, as `cargo nextest` has
/// one for each test, its group `real-images` sees to that.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = dockerloader::clock::now();
    let result = work();
    (result, start.elapsed())
}

/// Reads a JSON blob of the layout.
fn blob(layout: &Path, digest: &str) -> serde_json::Value {
    let path = layout.join("blobs").join(digest.replace(':', "/"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Extracts the image of an OCI layout and checks the tree against its seal. Returns the formats of its layers, and how
/// long extracting and making durable took.
fn extract(image: &Image, root: &Path) -> (Vec<String>, Duration, Duration) {
    let index: serde_json::Value =
        serde_json::from_slice(&std::fs::read(image.layout.join("index.json")).unwrap()).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let manifest = blob(&image.layout, &text(&index["manifests"][0]["digest"]));
    let config = blob(&image.layout, &text(&manifest["config"]["digest"]));
    let layers = manifest["layers"].as_array().unwrap();
    let diff_ids = config["rootfs"]["diff_ids"].as_array().unwrap();
    assert_eq!(layers.len(), diff_ids.len());
    let (extraction, duration) = timed(|| {
        let mut extraction = Extraction::new(root, Limits::default(), |_| ()).unwrap();
        for (layer, diff_id) in layers.iter().zip(diff_ids) {
            let digest = text(&layer["digest"]).replace(':', "/");
            let blob = std::fs::File::open(image.layout.join("blobs").join(digest)).unwrap();
            let diff_id: Digest = text(diff_id).parse().unwrap();
            extraction.apply(blob, Some(&diff_id)).unwrap();
        }
        extraction
    });
    // Apart: the others do not wait for the disk, and whatever else runs has to be written out as well.
    let (extracted, durable) = timed(|| extraction.finish().unwrap());
    assert_eq!(extracted.warnings, []);
    for depth in [Depth::Quick, Depth::Full] {
        assert_eq!(verify(root, &extracted.seal, depth), []);
    }
    (layers.iter().map(|layer| text(&layer["mediaType"])).collect(), duration, durable)
}

fn report(what: &str, (paths, differences): (usize, Vec<String>), times: &str) {
    println!("{what}: {paths} paths compared, {} differences{times}", differences.len());
    let shown: Vec<_> = differences.iter().take(20).map(String::as_str).collect();
    assert!(differences.is_empty(), "{what}:\n{}", shown.join("\n"));
}

/// Extracts `image` here, and `original` by umoci: the same image, in a compression that umoci knows.
fn compare_with_umoci(what: &str, image: &Image, original: &Image, media_type: &str) {
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let ours = place.path().join("ours");
    std::fs::create_dir(&ours).unwrap();
    let (media_types, our_time, durable) = extract(image, &ours);
    assert!(media_types.iter().all(|found| found.ends_with(media_type)), "{media_types:?}");
    let bundle = place.path().join("bundle");
    let ((), their_time) = timed(|| {
        tools::run("umoci", ["unpack", "--image", &original.name(), bundle.to_str().unwrap()]);
    });
    let result = compare(list(&ours), list(&bundle.join("rootfs")), |_, _| false);
    let times = format!(
        " (extracted in {our_time:.2?} here and durable {durable:.2?} later, in {their_time:.2?} by umoci)"
    );
    report(what, result, &times);
}

#[test]
fn debian_by_buildah() {
    let _alone = alone();
    if tools::have("debian by buildah", &["debootstrap", "buildah", "umoci"]) {
        let image = images::by_buildah("debian", &images::debian());
        compare_with_umoci("debian by buildah, against umoci unpack", &image, &image, "+gzip");
    }
}

#[test]
fn python_tree_by_buildah() {
    let _alone = alone();
    if tools::have("python tree by buildah", &["buildah", "umoci"]) {
        let image = images::by_buildah("python", &images::python());
        compare_with_umoci("50,000 files by buildah, against umoci unpack", &image, &image, "+gzip");
    }
}

#[test]
fn python_tree_by_skopeo_in_zstd() {
    let _alone = alone();
    if tools::have("python tree in zstd", &["buildah", "umoci", "skopeo"]) {
        let original = images::by_buildah("python", &images::python());
        let image = images::by_skopeo("python", &original);
        compare_with_umoci(
            "50,000 files in zstd by skopeo, against umoci unpack",
            &image,
            &original,
            "+zstd",
        );
    }
}

#[test]
fn debian_by_docker() {
    let _alone = alone();
    let what = "debian by docker build";
    if !tools::have(what, &["debootstrap", "skopeo", "umoci", "tar"]) || !tools::have_docker(what) {
        return;
    }
    let (image, exported) = images::by_docker("debian", &images::debian());
    compare_with_umoci("debian by docker build, against umoci unpack", &image, &image, "+gzip");

    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let at = |name: &str| {
        let path = place.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    let (ours, theirs) = (at("ours"), at("theirs"));
    extract(&image, &ours);
    let (from, into) = (exported.to_str().unwrap(), theirs.to_str().unwrap());
    tools::run("tar", ["--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf", from, "-C", into]);
    let result = compare(list(&ours), list(&theirs), |path, facts| {
        facts.mtime.1 = 0;
        of_the_container(path, facts)
    });
    report("debian by docker build, against docker export", result, "");
}

/// What a container has beside its image: mount points that Docker makes, and the root and `etc`, whose time they change.
fn of_the_container(path: &[u8], _: &mut Facts) -> bool {
    let made: [&[u8]; 9] = [
        b"",
        b".dockerenv",
        b"dev",
        b"proc",
        b"sys",
        b"etc",
        b"etc/hostname",
        b"etc/hosts",
        b"etc/resolv.conf",
    ];
    made.contains(&path) || path == b"etc/mtab" || path.starts_with(b"dev/")
}
