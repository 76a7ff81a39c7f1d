//! The image that is pulled: an OCI layout made from a seed, the same everywhere, streamed to disk and kept between runs.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use super::content::Content;
use crate::failure::{Context as _, Result};

/// The tag in the layout and in the registry.
pub(super) const TAG: &str = "bench";
/// Another number makes another image, and layouts of before are not used any more.
const SEED: u64 = 1;
/// Share of the files in each layer, in percent: a distribution, a runtime, an application.
const LAYERS: [u64; 3] = [60, 30, 10];
const FILES_IN_A_DIRECTORY: u64 = 50;
/// Every so many files there is a symbolic link, a hard link to the file, and one of the lowest layer that the highest removes.
const SYMBOLIC_LINKS: u64 = 40;
const HARD_LINKS: u64 = 100;
const WHITEOUTS: usize = 500;

/// What is in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Paths of regular files, hard links among them, that are there after the last layer.
    pub(super) files: i64,
    /// Bytes of the layers as they are sent.
    pub(super) compressed: u64,
    /// Bytes of the archives in them.
    pub(super) archives: u64,
}

/// An OCI layout on disk.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) directory: PathBuf,
    pub(super) facts: Facts,
}

/// The layout of an image with this many files, below `cache`; made if it isn't there yet.
pub(super) fn find_or_make(cache: &Path, files: u64) -> Result<Layout> {
    let directory = cache.join(format!("image-{SEED}-{files}"));
    if let Some(facts) = read_facts(&directory) {
        return Ok(Layout { directory, facts });
    }
    eprintln!("making an image of {files} files");
    std::fs::create_dir_all(cache).context(format_args!("make {}", cache.display()))?;
    let unfinished =
        tempfile::Builder::new().prefix("image-").tempdir_in(cache).context("make a directory")?;
    let facts = make(unfinished.path(), files).context("make the image")?;
    std::fs::rename(unfinished.keep(), &directory).context(format_args!("make {}", directory.display()))?;
    Ok(Layout { directory, facts })
}

fn make(directory: &Path, files: u64) -> io::Result<Facts> {
    let blobs = directory.join("blobs/sha256");
    std::fs::create_dir_all(&blobs)?;
    let made = std::thread::scope(|scope| {
        let started = (0..LAYERS.len()).map(|number| {
            scope.spawn({
                let path = blobs.join(format!("layer-{number}"));
                move || layer(&path, number, files)
            })
        });
        let started = started.collect::<Vec<_>>();
        let ended = started.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread that made a layer panicked")))
        });
        ended.collect::<io::Result<Vec<_>>>()
    })?;
    let mut facts = Facts::default();
    let (mut layers, mut diff_ids) = (Vec::new(), Vec::new());
    for (number, layer) in made.iter().enumerate() {
        std::fs::rename(blobs.join(format!("layer-{number}")), blobs.join(&layer.blob.hex))?;
        layers.push(descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &layer.blob));
        diff_ids.push(format!("sha256:{}", layer.archive.hex));
        facts.compressed += layer.blob.length;
        facts.archives += layer.archive.length;
    }
    facts.files = made.iter().map(|layer| layer.files).sum();
    let config = document(
        &blobs,
        &json!({
            "created": "2020-01-01T00:00:00Z",
            "os": "linux",
            "architecture": fixtures::image::host_architecture(),
            "config": {},
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        }),
    )?;
    let manifest = document(
        &blobs,
        &json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": layers,
        }),
    )?;
    let mut manifest = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": TAG });
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    std::fs::write(directory.join("index.json"), index.to_string())?;
    std::fs::write(directory.join("oci-layout"), json!({ "imageLayoutVersion": "1.0.0" }).to_string())?;
    let facts_json =
        json!({ "files": facts.files, "compressed": facts.compressed, "archives": facts.archives });
    std::fs::write(directory.join("facts.json"), facts_json.to_string())?;
    Ok(facts)
}

fn read_facts(directory: &Path) -> Option<Facts> {
    let text = std::fs::read(directory.join("facts.json")).ok()?;
    let facts = serde_json::from_slice::<Value>(&text).ok()?;
    let number = |name: &str| facts[name].as_u64();
    Some(Facts {
        files: facts["files"].as_i64()?,
        compressed: number("compressed")?,
        archives: number("archives")?,
    })
}

fn document(blobs: &Path, document: &Value) -> io::Result<Sum> {
    let bytes = document.to_string().into_bytes();
    let mut hashing = Hashing::new(io::sink());
    hashing.write_all(&bytes)?;
    let (_, sum) = hashing.finish();
    std::fs::write(blobs.join(&sum.hex), bytes)?;
    Ok(sum)
}

fn descriptor(media_type: &str, sum: &Sum) -> Value {
    json!({ "mediaType": media_type, "digest": format!("sha256:{}", sum.hex), "size": sum.length })
}

#[derive(Debug)]
struct Made {
    blob: Sum,
    archive: Sum,
    /// Paths of regular files that it brings, less those that it removes.
    files: i64,
}

/// Writes the compressed archive of one layer.
fn layer(path: &Path, number: usize, all: u64) -> io::Result<Made> {
    let blob = Hashing::new(BufWriter::new(File::create_new(path)?));
    let mut archive = Archive::new(Hashing::new(GzEncoder::new(blob, flate2::Compression::default())));
    let mut content = Content::new(SEED << 8 | number as u64);
    for file in 0..files_of(number, all) {
        let (directory, path) = (directory_of(number, file), path_of(number, file));
        if file % FILES_IN_A_DIRECTORY == 0 {
            archive.add(EntryType::Directory, &format!("{directory}/"), "", &[])?;
        }
        archive.add(EntryType::Regular, &path, "", &content.next_file())?;
        if file % SYMBOLIC_LINKS == 0 {
            archive.add(EntryType::Symlink, &format!("{path}.so"), "../target", &[])?;
        }
        if file % HARD_LINKS == 0 {
            archive.add(EntryType::Link, &format!("{path}.same"), &path, &[])?;
        }
    }
    if number == 0 {
        archive.add(EntryType::Regular, "entrypoint", "", b"#!/bin/sh\n")?;
    } else if number + 1 == LAYERS.len() {
        for file in (0..files_of(0, all)).step_by(WHITEOUTS) {
            let whiteout = format!("{}/.wh.{}", directory_of(0, file), name_of(file));
            archive.add(EntryType::Regular, &whiteout, "", &[])?;
            // It was counted as a file that is brought, and it removes one.
            archive.files -= 2;
        }
    }
    let (hashing, files) = archive.finish()?;
    let (gzip, archive) = hashing.finish();
    let (mut file, blob) = gzip.finish()?.finish();
    file.flush()?;
    Ok(Made { blob, archive, files })
}

fn files_of(layer: usize, all: u64) -> u64 {
    all * LAYERS.get(layer).copied().unwrap_or_default() / 100
}

fn directory_of(layer: usize, file: u64) -> String {
    let directory = file / FILES_IN_A_DIRECTORY;
    format!("opt/layer{layer}/part{:02}/component{directory:04}", directory % 20)
}

fn path_of(layer: usize, file: u64) -> String {
    format!("{}/{}", directory_of(layer, file), name_of(file))
}

fn name_of(file: u64) -> String {
    format!("some-file-{file:06}.dat")
}

/// A tar archive that is being written.
struct Archive<W: Write> {
    builder: Builder<W>,
    entries: u64,
    files: i64,
}

impl<W: Write> Archive<W> {
    fn new(to: W) -> Self {
        Self { builder: Builder::new(to), entries: 0, files: 0 }
    }

    fn add(&mut self, kind: EntryType, path: &str, target: &str, data: &[u8]) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        let executable = path == "entrypoint" || self.entries.is_multiple_of(10);
        header.set_mode(if kind.is_dir() || executable { 0o755 } else { 0o644 });
        // Some of it belongs to somebody else than root, and nothing is of the time of extraction.
        let owner = if self.entries.is_multiple_of(7) { 1000 } else { 0 };
        header.set_uid(owner);
        header.set_gid(owner);
        header.set_mtime(1_577_836_800 + self.entries);
        header.set_size(data.len() as u64);
        self.entries += 1;
        self.files += i64::from(kind.is_file() || kind.is_hard_link());
        if kind.is_symlink() || kind.is_hard_link() {
            return self.builder.append_link(&mut header, path, target);
        }
        self.builder.append_data(&mut header, path, data)
    }

    fn finish(self) -> io::Result<(W, i64)> {
        Ok((self.builder.into_inner()?, self.files))
    }
}

/// Digest and length of what went through.
#[derive(Debug)]
struct Sum {
    hex: String,
    length: u64,
}

struct Hashing<W> {
    to: W,
    hash: Sha256,
    length: u64,
}

impl<W> Hashing<W> {
    fn new(to: W) -> Self {
        Self { to, hash: Sha256::new(), length: 0 }
    }

    fn finish(self) -> (W, Sum) {
        let hex = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        (self.to, Sum { hex, length: self.length })
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_image_is_made_each_time() {
        let make = || {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let facts = make(directory.path(), 1_000).expect("an image");
            assert_eq!(read_facts(directory.path()), Some(facts));
            (std::fs::read(directory.path().join("index.json")).expect("an index"), facts)
        };
        let (index, facts) = make();
        assert_eq!((index, facts), make());
        // 1000 files, 10 hard links of 100, the entrypoint; 600 / 500 rounded up are removed again.
        assert_eq!(facts.files, 1_000 + 10 + 1 - 2);
        assert!(facts.compressed < facts.archives && facts.compressed > facts.archives / 4, "{facts:?}");
    }
}
