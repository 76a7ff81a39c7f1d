//! `cargo xtask bench sizes`: what the supervisor weighs, and what linking the library adds to an application.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::io::Write as _;
use std::path::Path;

use super::{machine, section};
use crate::call::Call;
use crate::failure::{Context as _, Failure, Result};
use crate::images;
use crate::workspace::{cargo, host_triple, root, target};

/// A server that does nothing else; `{LIBRARY}` is where the five lines go.
const PROGRAM: &str = r#"#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    {LIBRARY}
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move { tokio::io::AsyncWriteExt::write_all(&mut stream, b"hello").await });
    }
}
"#;
const LIBRARY: &str = "dockerloader::init_dockerloaded().await?;
    dockerloader::mark_ready().await?;
    dockerloader::start_update_loop().await?;";

pub(super) fn run() -> Result {
    let binary = images::build_loader()?;
    let context = tempfile::tempdir().context("make a temporary directory")?;
    images::fill_loader_context(context.path(), &binary)?;
    let certificates = context.path().join("ca-certificates.crt");
    let (loader, roots) = (length(&binary)?, length(&certificates)?);
    let compressed = compressed(&binary)? + compressed(&certificates)?;

    let (without, with) = (Example::make("without", false)?, Example::make("with", true)?);
    let (crates_without, crates_with) = (without.crates()?, with.crates()?);
    let added = crates_with.difference(&crates_without).cloned().collect::<Vec<_>>();
    let (small, big) = (without.build()?, with.build()?);
    let text = format!(
        "{}.\n\n\
         | | |\n|---|---|\n\
         | supervisor, static, `{}` | {} |\n\
         | its image, FROM scratch: the supervisor and {} of certificate authorities | {} |\n\
         | the image as it is sent, gzip | {} |\n\
         | crates behind an application with tokio, without the library | {} |\n\
         | the same application with the library | {} ({} more) |\n\
         | its binary without, with the library (release, stripped) | {}, {} ({} more) |\n\n\
         The crates that the library adds: {}.",
        machine::versions(&[("rustc", "--version")]),
        host_triple()?,
        megabytes(loader),
        megabytes(roots),
        megabytes(loader + roots),
        megabytes(compressed),
        crates_without.len(),
        crates_with.len(),
        added.len(),
        megabytes(small),
        megabytes(big),
        megabytes(big.saturating_sub(small)),
        added.join(", "),
    );
    println!("{text}");
    section::write("sizes", &text)
}

/// An application in a directory of its own.
struct Example {
    /// Removed with it; what was built of it is kept for the next time.
    directory: tempfile::TempDir,
    name: &'static str,
}

impl Example {
    fn make(name: &'static str, linked: bool) -> Result<Self> {
        let directory = tempfile::tempdir().context("make a temporary directory")?;
        let path = directory.path();
        // The same versions as here, and tokio with the features that the library needs anyway.
        let manifest = std::fs::read_to_string(root().join("Cargo.toml")).context("read Cargo.toml")?;
        let tokio = manifest.lines().find(|line| line.starts_with("tokio = "));
        let tokio = tokio.ok_or_else(|| Failure::new("Cargo.toml has no line about tokio"))?;
        let library = format!("dockerloader = {{ path = {:?} }}\n", root().join("dockerloader"));
        let text = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
             [dependencies]\n{tokio}\n{}\n[profile.release]\nstrip = true\n",
            if linked { &library } else { "" },
        );
        let program = PROGRAM.replace("{LIBRARY}", if linked { LIBRARY } else { "" });
        std::fs::create_dir(path.join("src")).context("make the example")?;
        std::fs::write(path.join("Cargo.toml"), text).context("make the example")?;
        std::fs::write(path.join("src/main.rs"), program).context("make the example")?;
        std::fs::copy(root().join("Cargo.lock"), path.join("Cargo.lock")).context("make the example")?;
        Ok(Self { directory, name })
    }

    /// Its dependencies at run time, `name version` each.
    fn crates(&self) -> Result<BTreeSet<String>> {
        let tree =
            self.cargo().args(["tree", "--edges", "normal", "--prefix", "none", "--no-dedupe"]).read()?;
        Ok(crates(&tree, self.name))
    }

    /// The size of its binary.
    fn build(&self) -> Result<u64> {
        let built = target().join("bench/sizes");
        self.cargo().args(["build", "--quiet", "--release"]).arg("--target-dir", &built).run()?;
        length(&built.join("release").join(self.name))
    }

    fn cargo(&self) -> Call {
        cargo().in_directory(self.directory.path())
    }
}

/// The crates in what `cargo tree` says, but for the application itself.
fn crates(tree: &str, application: &str) -> BTreeSet<String> {
    let words = tree.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>());
    let crates = words.filter(|words| words.len() == 2 && words.first() != Some(&application));
    crates.map(|words| words.join(" ").replacen(" v", " ", 1)).collect()
}

fn length(path: &Path) -> Result<u64> {
    path.metadata()
        .as_ref()
        .map(Metadata::len)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

fn compressed(path: &Path) -> Result<u64> {
    let bytes = std::fs::read(path).context(format_args!("read {}", path.display()))?;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder
        .write_all(&bytes)
        .and_then(|()| encoder.finish())
        .map(|bytes| bytes.len() as u64)
        .context("compress")
}

fn megabytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_crate_counts_once_and_the_application_does_not() {
        let tree = "app v0.0.0 (/tmp/x)\nserde v1.0.2\nserde_core v1.0.2\nserde v1.0.2 (*)\n\nserde_derive v1.0.2 (proc-macro)\n";
        let found = crates(tree, "app").into_iter().collect::<Vec<_>>();
        assert_eq!(found, ["serde 1.0.2", "serde_core 1.0.2", "serde_derive 1.0.2"]);
    }
}
