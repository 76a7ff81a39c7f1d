//! One entry of a table of contents, and what it says about the bytes of the blob.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// A name for the bytes of a piece: pieces of the same name are taken for the same bytes.
///
/// Half of BLAKE3: what collides is found by the blob's digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub(super) [u8; 16]);

impl Key {
    /// No name.
    pub(super) const UNKNOWN: Self = Self([0; 16]);
}

/// Makes a key of what is said about a piece.
#[derive(Debug, Default)]
pub(super) struct Namer(blake3::Hasher);

impl Namer {
    pub(super) fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    fn signed(&mut self, number: Option<i64>) {
        self.0.update(&number.unwrap_or(0).to_le_bytes());
    }

    /// A text and its length, so that two texts are not taken for two others.
    pub(super) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
    }

    pub(super) fn key(&mut self, key: Key) {
        self.0.update(&key.0);
    }

    fn optional(&mut self, text: Option<&str>) {
        self.text(text.unwrap_or_default());
    }

    /// The key, and a beginning for the next one.
    pub(super) fn finish(&mut self) -> Key {
        let mut bytes = [0; 16];
        self.0.finalize_xof().fill(&mut bytes);
        self.0.reset();
        Key(bytes)
    }
}

/// An entry as both formats have it. What is not there is as good as zero or empty, which Go leaves out.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Entry {
    #[serde(rename = "type")]
    pub(super) kind: String,
    name: String,
    link_name: Option<String>,
    mode: Option<i64>,
    pub(super) size: u64,
    modtime: Option<String>,
    accesstime: Option<String>,
    changetime: Option<String>,
    pub(super) uid: i64,
    pub(super) gid: i64,
    pub(super) user_name: Option<String>,
    pub(super) group_name: Option<String>,
    dev_major: Option<i64>,
    dev_minor: Option<i64>,
    xattrs: Option<Named>,
    digest: Option<String>,
    /// Where the payload, or this chunk of it, begins in the blob.
    pub(super) offset: u64,
    /// Where the payload ends in the blob: zstd:chunked alone.
    pub(super) end_offset: Option<u64>,
    /// Where it begins in what is decompressed from `offset` on: eStargz, several payloads in one gzip member.
    pub(super) inner_offset: u64,
    chunk_size: u64,
    chunk_offset: u64,
    chunk_digest: Option<String>,
}

impl Entry {
    /// What the entry's tar header is made of.
    pub(super) fn describe_header(&self, namer: &mut Namer) {
        namer.text(&self.kind);
        namer.text(&self.name);
        namer.optional(self.link_name.as_deref());
        namer.signed(self.mode);
        namer.number(self.size);
        for time in [&self.modtime, &self.accesstime, &self.changetime] {
            namer.optional(time.as_deref());
        }
        for number in [Some(self.uid), Some(self.gid), self.dev_major, self.dev_minor] {
            namer.signed(number);
        }
        namer.key(self.xattrs.as_ref().map_or(Key::UNKNOWN, |named| named.0));
    }

    /// What the payload, or this chunk of it, is. Whether anything is said that tells it from another.
    pub(super) fn describe_payload(&self, namer: &mut Namer) -> bool {
        let digest = self.chunk_digest.as_deref().filter(|text| !text.is_empty());
        let digest = digest.or(self.digest.as_deref()).unwrap_or_default();
        namer.text(digest);
        namer.number(self.inner_offset);
        // 0 stands for the rest of the file, whose size the header's description has.
        namer.number(self.chunk_size);
        namer.number(if self.chunk_size == 0 { self.size } else { 0 });
        digest.parse::<crate::digest::Digest>().is_ok()
    }
}

/// The name of a map of extended attributes, made while it is read: however many there are, no memory is taken.
#[derive(Debug)]
struct Named(Key);

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NamedVisitor)
    }
}

struct NamedVisitor;

impl<'de> Visitor<'de> for NamedVisitor {
    type Value = Named;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of extended attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named, A::Error> {
        let (mut namer, mut is_empty) = (Namer::default(), true);
        while let Some((name, value)) = map.next_entry::<String, String>()? {
            namer.text(&name);
            namer.text(&value);
            is_empty = false;
        }
        // No attributes are the same as an empty map.
        Ok(Named(if is_empty { Key::UNKNOWN } else { namer.finish() }))
    }
}
