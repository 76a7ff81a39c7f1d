//! Generated archives, extracted here, by GNU tar and by umoci: the same trees.
//!
//! Differences that are expected, and not looked at:
//! - the time of a folder that no entry describes: here it is 1970, elsewhere the moment of the extraction;
//! - the time of a folder in which umoci made such a folder, or removed something: it leaves it at the moment of the extraction;
//! - mode and group of such a folder in a folder with setgid: root's here, inherited with umoci;
//! - whiteouts, which GNU tar does not know: it gets the other half of the images alone;
//! - sparse files in the old format of GNU tar, which umoci does not know: it gets the other three quarters.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use dockerloader::limits::Limits;
use dockerloader::tree::{Depth, Extraction, verify};
use fixtures::hostile::random;
use fixtures::sha256;
use fixtures::tree::{Facts, compare, list};
use serde_json::json;

use crate::call::Call;
use crate::failure::{Context as _, Failure, Result};
use crate::interrupt;
use crate::workspace::find_program;

/// Images that are extracted together, since starting the other programs takes longer than what they do.
const BATCH: u64 = 100;
/// Differences that are reported.
const REPORTED: usize = 20;

/// Who extracts too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    Tar,
    Umoci,
}

impl Tool {
    const fn name(self) -> &'static str {
        match self {
            Self::Tar => "tar",
            Self::Umoci => "umoci",
        }
    }
}

/// What was compared.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) archives: u64,
    pub(super) paths_of_tar: usize,
    pub(super) paths_of_umoci: usize,
    /// By the number of the image.
    pub(super) differences: BTreeMap<u64, String>,
}

/// Compares this many images.
pub(super) fn run(scratch: &Path, seed: u64, archives: u64) -> Result<Compared> {
    let mut compared = Compared::default();
    for start in (0..archives).step_by(usize::try_from(BATCH).unwrap_or(1)) {
        if interrupt::interrupted() {
            return Err(Failure::new("interrupted"));
        }
        batch(scratch, seed, start..(start + BATCH).min(archives), &mut compared)?;
        if compared.differences.len() >= REPORTED {
            break;
        }
    }
    Ok(compared)
}

/// Compares one image.
pub(super) fn run_one(scratch: &Path, seed: u64, number: u64) -> Result<Compared> {
    let mut compared = Compared::default();
    batch(scratch, seed, number..number + 1, &mut compared)?;
    Ok(compared)
}

fn batch(scratch: &Path, seed: u64, numbers: std::ops::Range<u64>, compared: &mut Compared) -> Result {
    let place = tempfile::tempdir_in(scratch).context("make a directory")?;
    let folder = |name: &str| {
        let path = place.path().join(name);
        fs::create_dir(&path).context("make a directory").map(|()| path)
    };
    let layers = random::layers(seed, numbers.clone());
    compared.archives += numbers.end - numbers.start;
    let ours = folder("ours")?;
    extract(&ours, &layers)?;
    let ours = images(list(&ours));

    for tool in [Tool::Tar, Tool::Umoci].map(Tool::name) {
        if find_program(tool).is_none() {
            return Err(Failure::new(format!("{tool} is not installed, and extraction is compared with it")));
        }
    }
    let theirs = folder("tar")?;
    let plain = random::layers(seed, numbers.clone().filter(|number| !random::has_whiteouts(*number)));
    tar(place.path(), &theirs, &plain)?;
    compared.paths_of_tar +=
        compare_images(&ours, images(list(&theirs)), Tool::Tar, &mut compared.differences);

    let theirs = folder("umoci")?;
    let known = random::layers(seed, numbers.filter(|number| !random::has_old_sparse_files(*number)));
    umoci(place.path(), &theirs, &known)?;
    compared.paths_of_umoci +=
        compare_images(&ours, images(list(&theirs)), Tool::Umoci, &mut compared.differences);
    Ok(())
}

fn extract(root: &Path, layers: &[Vec<u8>]) -> Result {
    let context = "extract a generated image";
    let mut extraction = Extraction::new(root, Limits::default(), |_| ()).context(context)?;
    for layer in layers {
        extraction.apply(layer.as_slice(), None).context(context)?;
    }
    let extracted = extraction.finish().context(context)?;
    let findings = verify(root, &extracted.seal, Depth::Full);
    if findings.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(format!("the tree is not what its seal says: {findings:?}")))
    }
}

/// One archive of all layers: they are the same tree, but for whiteouts.
fn tar(place: &Path, root: &Path, layers: &[Vec<u8>]) -> Result {
    let archive = place.join("archive.tar");
    // Each ends with two zero blocks.
    let entries: Vec<&[u8]> =
        layers.iter().map(|layer| layer.get(..layer.len() - 1024).unwrap_or_default()).collect();
    fs::write(&archive, [entries.concat(), vec![0; 1024]].concat()).context("write an archive")?;
    // It ends with an error when a folder whose attributes it has put off is no folder any more: the trees tell.
    let call =
        Call::new("tar").args(["--extract", "--preserve-permissions", "--numeric-owner", "--same-owner"]);
    call.args(["--xattrs", "--xattrs-include=*", "--delay-directory-restore"])
        .args(["--file".as_ref(), archive.as_os_str(), "--directory".as_ref(), root.as_os_str()])
        .code()
        .map(drop)
}

fn umoci(place: &Path, root: &Path, layers: &[Vec<u8>]) -> Result {
    let layout = place.join("layout");
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).context("make an image layout")?;
    let put = |bytes: &[u8]| -> Result<(String, usize)> {
        let digest = sha256(bytes);
        let name = digest.trim_start_matches("sha256:").to_owned();
        fs::write(blobs.join(name), bytes).context("write a blob")?;
        Ok((digest, bytes.len()))
    };
    let descriptor = |media_type: &str, (digest, size): &(String, usize)| json!({ "mediaType": format!("application/vnd.oci.image.{media_type}"), "digest": digest, "size": size });
    let layers = layers.iter().map(|layer| put(layer)).collect::<Result<Vec<_>>>()?;
    let diff_ids: Vec<_> = layers.iter().map(|(digest, _)| digest).collect();
    let config = json!({ "os": "linux", "architecture": "amd64", "config": {}, "rootfs": { "type": "layers", "diff_ids": diff_ids } });
    let config = put(config.to_string().as_bytes())?;
    let manifest = json!({
        "schemaVersion": 2,
        "config": descriptor("config.v1+json", &config),
        "layers": layers.iter().map(|layer| descriptor("layer.v1.tar", layer)).collect::<Vec<_>>(),
    });
    let mut entry = descriptor("manifest.v1+json", &put(manifest.to_string().as_bytes())?);
    entry["annotations"] = json!({ "org.opencontainers.image.ref.name": "latest" });
    let index = json!({ "schemaVersion": 2, "manifests": [entry] });
    fs::write(layout.join("index.json"), index.to_string()).context("write an index")?;
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).context("write a layout")?;
    let image = format!("{}:latest", layout.display());
    fs::remove_dir(root).context("make room for umoci")?;
    Call::new("umoci").args(["raw", "unpack", "--image", &image]).args([root]).read().map(drop)
}

fn is_folder(facts: &Facts) -> bool {
    facts.mode & 0o170_000 == 0o040_000
}

fn is_of_now(facts: &Facts) -> bool {
    u64::try_from(facts.mtime.0).is_ok_and(|seconds| seconds > random::LATEST)
}

type Tree = BTreeMap<Vec<u8>, Facts>;

/// Each image by its number.
fn images(tree: Tree) -> BTreeMap<u64, Tree> {
    let mut images: BTreeMap<u64, Tree> = BTreeMap::new();
    for (path, facts) in tree {
        let first = path.split(|&byte| byte == b'/').next().unwrap_or_default();
        let number =
            first.strip_prefix(b"image-").and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        if let Some(number) = number {
            images.entry(number).or_default().insert(path, facts);
        }
    }
    images
}

/// Compares the images that they have, and gives how many paths that were.
fn compare_images(
    ours: &BTreeMap<u64, Tree>,
    theirs: BTreeMap<u64, Tree>,
    tool: Tool,
    differences: &mut BTreeMap<u64, String>,
) -> usize {
    let mut paths = 0;
    for (number, mut other) in theirs {
        let mut mine = ours.get(&number).cloned().unwrap_or_default();
        for (path, facts) in &mut mine {
            let Some(other) = other.get_mut(path) else { continue };
            // A folder that no entry describes is of 1970 here.
            let is_expected = facts.mtime == (0, 0) || tool == Tool::Umoci;
            if is_expected && is_folder(other) && is_of_now(other) {
                other.mtime = facts.mtime;
            }
            if facts.mtime == (0, 0) && tool == Tool::Umoci && other.mode & 0o2000 != 0 {
                (other.mode, other.owner) = (facts.mode, facts.owner);
            }
        }
        let (count, found) = compare(mine, other, |_, _| false);
        paths += count;
        if let Some(first) = found.first() {
            let more = found.len() - 1;
            differences
                .entry(number)
                .or_insert_with(|| format!("{}: {first} (and {more} more)", tool.name()));
        }
    }
    paths
}
