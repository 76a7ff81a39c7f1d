//! What fuzzing begins with: the tables of hostile layers and images, and a good example of everything else.

use dockerloader::limits::Limits;
use dockerloader::tree::Extraction;
use fixtures::archive::Archive;
use fixtures::hostile::images::IMAGES;
use fixtures::hostile::{Aim, defects, oddities};
use fixtures::image::{Compression, Publish as _};

use crate::failure::{Context as _, Result};

/// Longer ones slow the fuzzer down.
const LONGEST: usize = 8 << 10;

/// The seeds of a target.
pub(super) fn of(target: &str) -> Result<Vec<Vec<u8>>> {
    let mut seeds = match target {
        "entries" => layers(Compression::Plain).into_iter().map(|layers| layers.concat()).collect(),
        "archives" => layers(Compression::Plain).into_iter().filter_map(cut).collect(),
        "blobs" => blobs(),
        "manifests" => manifests(),
        "references" => texts(REFERENCES),
        "challenges" => texts(CHALLENGES),
        "dotenv" => texts(DOTENV),
        _ => state()?,
    };
    seeds.retain(|seed| seed.len() <= LONGEST);
    Ok(seeds)
}

fn layers(compression: Compression) -> Vec<Vec<Vec<u8>>> {
    let aim = Aim { canary: "/tmp/canary".into() };
    [defects(), oddities()].concat().iter().filter_map(|row| row.blobs(&aim, compression)).collect()
}

/// Two layers, after the number of blocks of the first one.
fn cut(layers: Vec<Vec<u8>>) -> Option<Vec<u8>> {
    let blocks = layers.first()?.len() / 512;
    Some([vec![u8::try_from(blocks).ok()?], layers.concat()].concat())
}

fn blobs() -> Vec<Vec<u8>> {
    let mut blobs: Vec<_> =
        [Compression::Gzip, Compression::Zstd].into_iter().flat_map(layers).flatten().collect();
    blobs.push(
        br#"{"version":1,"entries":[{"type":"reg","name":"a","size":5,"offset":10,"endOffset":30,"chunkDigest":"sha256:0","digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000"},{"type":"dir","name":"d"}]}"#
            .to_vec(),
    );
    blobs
}

fn manifests() -> Vec<Vec<u8>> {
    let aim = Aim { canary: "/tmp/canary".into() };
    let mut seeds = vec![br#"t{"token":"a.eyJleHAiOjl9.b","expires_in":60}"#.to_vec()];
    for image in IMAGES {
        let served = image.serve(&aim);
        for (_, media_type, bytes) in served.manifests() {
            let kind = if media_type.contains("index") { b'i' } else { b'm' };
            seeds.push([&[kind], &bytes[..]].concat());
        }
        let configs = served.blobs().into_iter().filter(|(_, bytes)| bytes.starts_with(b"{"));
        seeds.extend(configs.map(|(_, bytes)| [b"c".as_slice(), &bytes].concat()));
    }
    seeds.sort();
    seeds.dedup();
    seeds
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

const REFERENCES: &[&str] = &[
    "debian",
    "docker.io/library/debian:12",
    "localhost:5000/a/b_c/d-e:tag.1",
    "[::1]:5000/a:b",
    "ghcr.io/x/y@sha256:0000000000000000000000000000000000000000000000000000000000000000",
    "https://user:word@host/a",
];

const CHALLENGES: &[&str] = &[
    "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",scope=\"repository:a/b:pull\"",
    "Basic realm=\"a, b=c\", Bearer realm=\"r\\\"q\"",
    "Negotiate\nbearer realm=https://a/b , SERVICE = s",
];

const DOTENV: &[&str] = &[
    "\u{feff}# a comment\n\nPLAIN=1\nexport EXPORTED=2 # why\nSINGLE='a # b $X'\nDOUBLE=\"x\\ny\\\"\"\n",
    "CRLF=c\r\nEMPTY=\r\nTWO=\"a\nb\"\nLAST=${PLAIN}0\n",
];

/// A file of each kind, after the number of its kind.
fn state() -> Result<Vec<Vec<u8>>> {
    const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    let mut seeds = texts(&[
        "\u{1}{\"program\":\"bin/app\",\"arguments\":[\"-x\"],\"environment\":[[\"A\",\"b\"]],\"working_directory\":\"srv\",\"stop_signal\":\"SIGINT\"}",
        "\u{4}{\"format\":1,\"tree_bytes\":5,\"frozen\":[{\"name\":\"a-1\",\"bytes\":5}]}",
    ]);
    for text in [
        format!(
            "\u{0}{{\"format\":1,\"verdicts\":[],\"trial\":{{\"digest\":\"{DIGEST}\",\"attempts\":1,\"from\":null}}}}"
        ),
        format!(
            "\u{2}{{\"reference\":\"r\",\"platform\":\"p\",\"tag\":\"{DIGEST}\",\"manifest\":\"{DIGEST}\"}}"
        ),
        format!("\u{7}/data/dockerloader/storage/v1/extracted/{DIGEST}/entrypoint"),
    ] {
        seeds.push(text.into_bytes());
    }
    let root = tempfile::tempdir().context("make a directory")?;
    let layer = Archive::new().dir("d").file("d/f", "x").hardlink("g", "d/f").symlink("l", "g").fifo("p");
    let layer = layer.file("e/.wh.x", "").file("e/.wh..wh..opq", "").end();
    let mut extraction = Extraction::new(root.path(), Limits::default(), |_| ()).context("extract a seed")?;
    let index = extraction.apply(layer.as_slice(), None).context("extract a seed")?;
    let seal = extraction.finish().context("extract a seed")?.seal;
    for (kind, bytes) in [(5, seal.as_bytes()), (6, index.as_bytes())] {
        // Without its checksum, which the target computes.
        seeds.push([&[kind], bytes.get(..bytes.len() - 32).unwrap_or_default()].concat());
    }
    Ok(seeds)
}

#[cfg(test)]
mod tests {
    use fixtures::image::{Image, Layer};

    use super::*;

    #[test]
    fn seeds_of_images_are_whole() {
        let good = Image::new().layer(Layer::new().file("entrypoint", 0o755, b"x")).build();
        assert!(
            manifests()
                .iter()
                .any(|seed| seed.first() == Some(&b'm') && seed.len() > good.manifest.len() / 2)
        );
        assert!(manifests().iter().any(|seed| seed.first() == Some(&b'c')));
    }
}
