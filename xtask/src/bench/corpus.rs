//! What files of the images are cut from: the files of some Debian packages and Python wheels, so that they compress as
//! files do. Where none of them can be had, made-up text and noise.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::image::Random;
use crate::call::Call;
use crate::failure::{Context as _, Failure, Result};

/// Programs, libraries, sources, data, fonts: about 400 MB. Debian gives the versions of its stable release.
const DEBIAN: [&str; 11] = [
    "fonts-dejavu-core",
    "gcc-12",
    "git",
    "libgl1-mesa-dri",
    "libicu72",
    "libllvm14",
    "libnode108",
    "libpython3.11-stdlib",
    "perl-modules-5.36",
    "tzdata",
    "vim-runtime",
];
const WHEELS: [&str; 5] =
    ["Django==4.2.16", "babel==2.16.0", "botocore==1.35.0", "numpy==1.26.4", "sympy==1.13.0"];
/// Writes the contents of a wheel's files one after the other.
const UNZIP: &str = "import sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
for name in wheel.namelist():
    sys.stdout.buffer.write(wheel.read(name))";

/// Bytes of real files, one after the other.
#[derive(Debug)]
pub(super) struct Corpus {
    bytes: Vec<u8>,
    /// The beginning of the digest of `bytes`: the same corpus gives the same images.
    pub(super) id: String,
    /// `name version sha256`, one for each package; empty when the bytes are made up.
    pub(super) packages: Vec<String>,
}

impl Corpus {
    /// The one of an earlier run, else a new one; `made_up` asks for one that needs no network.
    pub(super) fn find_or_make(cache: &Path, made_up: bool) -> Result<Self> {
        let directory = cache.join(if made_up { "corpus-made-up" } else { "corpus" });
        if let Some(corpus) = Self::read(&directory) {
            return Ok(corpus);
        }
        std::fs::create_dir_all(&directory).context(format_args!("make {}", directory.display()))?;
        let packages = if made_up { Err(Failure::new("not asked for")) } else { fetch() };
        let (bytes, packages) = match packages {
            Ok(found) => found,
            Err(_) if made_up => (invent(), Vec::new()),
            Err(failure) => {
                // Not kept: the next run tries again.
                eprintln!("{failure}\nthe files of the images are made up instead");
                return Self::find_or_make(cache, true);
            }
        };
        let id = short_digest(&bytes);
        let write = |name: &str, bytes: &[u8]| {
            let path = directory.join(name);
            std::fs::write(&path, bytes).context(format_args!("write {}", path.display()))
        };
        write("bytes", &bytes)?;
        // Written last: with it the corpus is complete.
        write("corpus.json", json!({ "id": id, "packages": packages }).to_string().as_bytes())?;
        Ok(Self { bytes, id, packages })
    }

    fn read(directory: &Path) -> Option<Self> {
        let facts = std::fs::read(directory.join("corpus.json")).ok()?;
        let facts = serde_json::from_slice::<Value>(&facts).ok()?;
        let bytes = std::fs::read(directory.join("bytes")).ok()?;
        let id = facts["id"].as_str()?.to_owned();
        let packages = facts["packages"].as_array()?.iter().filter_map(Value::as_str).map(str::to_owned);
        (short_digest(&bytes) == id).then(|| Self { bytes, id, packages: packages.collect() })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// One sentence for the report.
    pub(super) fn describe(&self) -> String {
        let megabytes = self.bytes.len() as f64 / 1e6;
        if self.packages.is_empty() {
            return format!("Contents: {megabytes:.0} MB of made-up text and noise, corpus {}.", self.id);
        }
        let short = self.packages.iter().map(|package| match package.rsplit_once(' ') {
            Some((name, digest)) => format!("{name} ({})", digest.get(..12).unwrap_or(digest)),
            None => package.clone(),
        });
        let list = short.collect::<Vec<_>>().join(", ");
        format!(
            "Contents: cut from {megabytes:.0} MB of files of these packages (SHA-256), corpus {}: {list}.",
            self.id
        )
    }
}

/// Downloads the packages and unpacks them in memory.
fn fetch() -> Result<(Vec<u8>, Vec<String>)> {
    eprintln!("downloading packages, whose files the images are made of");
    let directory = tempfile::tempdir().context("make a directory for packages")?;
    let call = |program: &str| Call::new(program).in_directory(directory.path());
    call("apt-get").args(["--quiet", "--quiet", "download"]).args(DEBIAN).read()?;
    let wheels = ["-m", "pip", "--quiet", "download", "--no-deps", "--only-binary", ":all:", "--dest", "."];
    let platform = ["--python-version", "3.11", "--platform", "manylinux2014_x86_64"];
    call("python3").args(wheels).args(platform).args(WHEELS).read()?;
    let entries = std::fs::read_dir(directory.path()).context("list the packages")?;
    let mut files = entries.flatten().map(|entry| entry.path()).collect::<Vec<_>>();
    files.sort();
    let (mut bytes, mut packages) = (Vec::new(), Vec::new());
    for file in files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().replace("%3a", ":");
        let content = std::fs::read(&file).context(format_args!("read {}", file.display()))?;
        // name_version_architecture.deb, name-version-tags.whl
        let mut parts = name.split(if is_wheel(&file) { '-' } else { '_' });
        let (name, version) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        packages.push(format!("{name} {version} {}", hex_digest(&content)));
        unpack(&file, &mut bytes)?;
    }
    Ok((bytes, packages))
}

fn is_wheel(package: &Path) -> bool {
    package.extension().is_some_and(|extension| extension == "whl")
}

/// Appends the contents of a package's files.
fn unpack(package: &PathBuf, bytes: &mut Vec<u8>) -> Result {
    let output = |program: &str, arguments: &[&str]| {
        let output = std::process::Command::new(program).args(arguments).arg(package).output();
        let output = output.context(format_args!("run {program}"))?;
        let failed = || Failure::new(format!("{program} can't unpack {}", package.display()));
        output.status.success().then_some(output.stdout).ok_or_else(failed)
    };
    if is_wheel(package) {
        bytes.extend(output("python3", &["-c", UNZIP])?);
        return Ok(());
    }
    let archive = output("dpkg-deb", &["--fsys-tarfile"])?;
    let mut archive = tar::Archive::new(archive.as_slice());
    for entry in archive.entries().context("read a package")? {
        let mut entry = entry.context("read a package")?;
        if entry.header().entry_type().is_file() {
            entry.read_to_end(bytes).context("read a package")?;
        }
    }
    Ok(())
}

/// Pieces of made-up text and of noise in turn: a little more than half of it compresses as text does.
fn invent() -> Vec<u8> {
    const PIECE: usize = 48 << 10;
    const WORDS: u64 = 4096;
    let mut random = Random::new(1);
    let words = (0..WORDS).map(|_| {
        let length = 2 + random.below(8);
        (0..length).map(|_| b'a' + (random.below(26) as u8)).collect::<Vec<_>>()
    });
    let words = words.collect::<Vec<_>>();
    let mut bytes = Vec::new();
    while bytes.len() < 32 << 20 {
        let end = bytes.len() + PIECE;
        while bytes.len() < end {
            // Some words often and most of them rarely, as in languages.
            let rank = random.below(WORDS).min(random.below(WORDS)).min(random.below(WORDS));
            let word = words.get(usize::try_from(rank).unwrap_or_default());
            bytes.extend_from_slice(word.map_or(b"", Vec::as_slice));
            bytes.push(if random.below(12) == 0 { b'\n' } else { b' ' });
        }
        // Writing to memory can't fail.
        let _ = bytes.write_all(&fixtures::image::noise(random.next(), PIECE * 3 / 4));
    }
    bytes
}

fn hex_digest(bytes: &[u8]) -> String {
    fixtures::sha256(bytes).trim_start_matches("sha256:").to_owned()
}

fn short_digest(bytes: &[u8]) -> String {
    hex_digest(bytes).chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_corpus_is_the_same_each_time_and_kept() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let made = Corpus::find_or_make(directory.path(), true).expect("no network is needed");
        let kept = Corpus::read(&directory.path().join("corpus-made-up")).expect("it was kept");
        assert_eq!((made.id.as_str(), made.bytes.len()), (kept.id.as_str(), kept.bytes.len()));
        assert_eq!(short_digest(&invent()), made.id);
        std::fs::write(directory.path().join("corpus-made-up/bytes"), b"others").expect("damage");
        assert!(Corpus::read(&directory.path().join("corpus-made-up")).is_none(), "damage is noticed");
    }
}
