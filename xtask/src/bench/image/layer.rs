//! One layer: which files it has, and its archive, compressed and hashed while it is written.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use super::content::{Cut, Patched, length, mix};

const FILES_IN_A_DIRECTORY: u64 = 50;
/// Every so many files there is a symbolic link, a hard link to the file, and one of a lower layer that another removes.
const SYMBOLIC_LINKS: u64 = 40;
const HARD_LINKS: u64 = 100;
const WHITEOUTS: usize = 500;
/// One in so many files is another one in each rebuild.
const REBUILT: u64 = 100;

/// What a layer is made of. The same description and corpus give the same bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Layer {
    /// The directory below `opt` that everything is in.
    pub(super) name: String,
    pub(super) seed: u64,
    /// How many files of usual lengths.
    pub(super) files: u64,
    /// Lengths of large files.
    pub(super) large: Vec<u64>,
    /// How often it was rebuilt with 1 % of its files different.
    pub(super) rebuilt: u64,
    /// How often a few bytes in the middle of the first large file were changed.
    pub(super) patched: u64,
    /// Removes some files of a layer of this name with this many files.
    pub(super) removes: Option<(String, u64)>,
    /// Has `/entrypoint`.
    pub(super) entrypoint: bool,
}

/// A layer on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Made {
    /// As it is sent.
    pub(super) blob: Sum,
    /// Before compression.
    pub(super) archive: Sum,
    /// Paths of regular files that it brings, less those that it removes.
    pub(super) files: i64,
}

/// Digest and length of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sum {
    /// SHA-256, hexadecimal.
    pub(crate) hex: String,
    pub(super) length: u64,
}

impl Layer {
    /// Writes the compressed archive.
    pub(super) fn write(&self, corpus: &[u8], path: &Path) -> io::Result<Made> {
        let blob = Hashing::new(BufWriter::new(File::create(path)?));
        let mut archive = Archive::new(Hashing::new(GzEncoder::new(blob, flate2::Compression::default())));
        self.fill(corpus, &mut archive)?;
        let (hashing, files) = archive.finish()?;
        let (gzip, archive) = hashing.finish();
        let (mut file, blob) = gzip.finish()?.finish();
        file.flush()?;
        Ok(Made { blob, archive, files })
    }

    fn fill<W: Write>(&self, corpus: &[u8], archive: &mut Archive<W>) -> io::Result<()> {
        if self.entrypoint {
            archive.add(EntryType::Regular, "entrypoint", "", 0, b"#!/bin/sh\n".as_slice(), 10)?;
        }
        for file in 0..self.files {
            let path = path_of(&self.name, file);
            if file % FILES_IN_A_DIRECTORY == 0 {
                let directory = format!("{}/", directory_of(&self.name, file));
                archive.add(EntryType::Directory, &directory, "", 0, io::empty(), 0)?;
            }
            let generation = self.generation(file);
            let seed = mix(&[self.seed, file, generation]);
            let length = length(seed);
            archive.add(EntryType::Regular, &path, "", generation, Cut::new(corpus, seed, length), length)?;
            if file % SYMBOLIC_LINKS == 0 {
                archive.add(EntryType::Symlink, &format!("{path}.so"), "../target", 0, io::empty(), 0)?;
            }
            if file % HARD_LINKS == 0 {
                archive.add(EntryType::Link, &format!("{path}.same"), &path, generation, io::empty(), 0)?;
            }
        }
        for (number, length) in self.large.iter().enumerate() {
            let path = format!("opt/{}/large-{number:02}.bin", self.name);
            let content = Cut::new(corpus, mix(&[self.seed, u64::MAX, number as u64]), *length);
            if number == 0 && self.patched > 0 {
                let patch = u128::from(mix(&[self.seed, self.patched])).to_le_bytes();
                let content = Patched { inner: content, position: 0, at: length / 3, patch };
                archive.add(EntryType::Regular, &path, "", self.patched, content, *length)?;
            } else {
                archive.add(EntryType::Regular, &path, "", 0, content, *length)?;
            }
        }
        if let Some((name, files)) = &self.removes {
            for file in (0..*files).step_by(WHITEOUTS) {
                let whiteout = format!("{}/.wh.{}", directory_of(name, file), name_of(file));
                archive.add(EntryType::Regular, &whiteout, "", 0, io::empty(), 0)?;
                // It was counted as a file that is brought, and it removes one.
                archive.files -= 2;
            }
        }
        Ok(())
    }

    /// In how many of the rebuilds this file became another one.
    fn generation(&self, file: u64) -> u64 {
        let rebuilds =
            (1..=self.rebuilt).filter(|build| mix(&[self.seed, file, *build, 7]).is_multiple_of(REBUILT));
        rebuilds.count() as u64
    }
}

fn directory_of(layer: &str, file: u64) -> String {
    let directory = file / FILES_IN_A_DIRECTORY;
    format!("opt/{layer}/part{:02}/component{directory:04}", directory % 20)
}

fn path_of(layer: &str, file: u64) -> String {
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

    /// `generation`: files of a later build are younger.
    fn add(
        &mut self,
        kind: EntryType,
        path: &str,
        target: &str,
        generation: u64,
        data: impl Read,
        length: u64,
    ) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        let executable = path == "entrypoint" || self.entries.is_multiple_of(10);
        header.set_mode(if kind.is_dir() || executable { 0o755 } else { 0o644 });
        // Some of it belongs to somebody else than root, and nothing is of the time of extraction.
        let owner = if self.entries.is_multiple_of(7) { 1000 } else { 0 };
        header.set_uid(owner);
        header.set_gid(owner);
        header.set_mtime(1_577_836_800 + self.entries + generation * 1_000_000);
        header.set_size(length);
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
    use std::collections::BTreeMap;

    use super::*;

    fn make(layer: &Layer) -> (Made, BTreeMap<String, (u64, Vec<u8>)>) {
        let corpus = fixtures::image::noise(3, 4 << 20);
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("layer");
        let made = layer.write(&corpus, &path).expect("a layer");
        let blob = File::open(path).expect("the layer");
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(blob));
        let entries = archive.entries().expect("an archive").map(|entry| {
            let mut entry = entry.expect("an entry");
            let mut data = Vec::new();
            entry.read_to_end(&mut data).expect("its data");
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            (path, (entry.header().mtime().expect("a time"), data))
        });
        let entries = entries.collect();
        (made, entries)
    }

    fn layer() -> Layer {
        Layer {
            name: "base".into(),
            seed: 1,
            files: 1_000,
            large: vec![300_000],
            entrypoint: true,
            ..Layer::default()
        }
    }

    #[test]
    fn the_same_layer_is_made_each_time() {
        let (made, entries) = make(&layer());
        assert_eq!((&made, &entries), (&make(&layer()).0, &make(&layer()).1));
        // 1000 files, 10 hard links of 100, one large file, the entrypoint.
        assert_eq!(made.files, 1_000 + 10 + 1 + 1);
        assert_eq!(entries["opt/base/large-00.bin"].1.len(), 300_000);
    }

    #[test]
    fn a_rebuild_changes_one_file_in_a_hundred() {
        let (_, before) = make(&layer());
        let (_, after) = make(&Layer { rebuilt: 1, ..layer() });
        let changed = after.iter().filter(|(path, entry)| before.get(*path) != Some(entry)).count();
        assert!((3..30).contains(&changed), "{changed} of 1000");
        assert_eq!(before.len(), after.len());
    }

    #[test]
    fn a_patch_changes_a_few_bytes_of_the_large_file() {
        let (_, before) = make(&layer());
        let (_, after) = make(&Layer { patched: 1, ..layer() });
        let changed =
            after.iter().filter(|(path, entry)| before.get(*path) != Some(entry)).collect::<Vec<_>>();
        let [(path, (_, data))] = changed.as_slice() else { panic!("{} files", changed.len()) };
        assert_eq!(path.as_str(), "opt/base/large-00.bin");
        let differing = data.iter().zip(&before[*path].1).filter(|(new, old)| new != old).count();
        assert!((1..=16).contains(&differing), "{differing}");
    }

    #[test]
    fn removed_files_count() {
        let top = Layer { name: "top".into(), removes: Some(("base".into(), 1_000)), ..Layer::default() };
        let (made, entries) = make(&top);
        assert_eq!(made.files, -2);
        assert!(entries.contains_key("opt/base/part00/component0000/.wh.some-file-000000.dat"));
    }
}
