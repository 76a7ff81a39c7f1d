//! A table of contents as a row of segments, each with a name for its bytes. Pure.
//!
//! In zstd:chunked, payloads have frames of their own, from `offset` to `endOffset`; what lies between two of them is a
//! frame with the padding of the one, and the headers of all entries up to the other. In eStargz a gzip member goes on from
//! one payload to the next: it has the payload, its padding and the headers that follow.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Error;
use super::entry::{Entry, Key, Namer};
use super::strings::ShortStrings;
use crate::limits::Limits;

/// Bytes of a block of a tar archive, to which payloads are padded.
const BLOCK: u64 = 512;

/// A table of contents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// In order, without gaps, from 0 to `tail`.
    segments: Vec<Segment>,
    tail: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    start: u64,
    /// [`Key::UNKNOWN`] where nothing is known about the bytes.
    key: Key,
}

impl Table {
    /// Reads the JSON of both formats, as a stream. `tail` is where the contents end in the blob.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Limit`] by what the table says; [`Error::Io`] of the reader.
    pub fn parse(json: impl Read, tail: u64, limits: &Limits) -> Result<Self, Error> {
        let mut builder = Builder::new(tail, limits.table_entries.max);
        let reader = ShortStrings::new(json, limits.table_string_bytes);
        let mut deserializer = serde_json::Deserializer::from_reader(std::io::BufReader::new(reader));
        let parsed = Document(&mut builder).deserialize(&mut deserializer).and_then(|()| deserializer.end());
        parsed.map_err(|error| {
            if error.is_io() { Error::io("read")(error.into()) } else { Error::malformed(error) }
        })?;
        builder.finish()
    }

    /// Where the contents end.
    pub const fn tail(&self) -> u64 {
        self.tail
    }

    /// Each segment, and its name if it has one.
    pub fn segments(&self) -> impl Iterator<Item = (Range<u64>, Option<Key>)> + '_ {
        (0..self.segments.len()).filter_map(|number| self.segment(number))
    }

    /// One of the segments.
    pub(super) fn segment(&self, number: usize) -> Option<(Range<u64>, Option<Key>)> {
        let Segment { start, key } = *self.segments.get(number)?;
        let end = self.segments.get(number + 1).map_or(self.tail, |next| next.start);
        Some((start..end, Some(key).filter(|key| *key != Key::UNKNOWN)))
    }

    /// The number of the segment that begins at `start`.
    pub(super) fn number_at(&self, start: u64) -> Option<usize> {
        self.segments.binary_search_by_key(&start, |segment| segment.start).ok()
    }

    #[cfg(test)]
    pub(super) fn of(lengths_and_keys: &[(u64, Option<u8>)]) -> Self {
        let mut table = Self::default();
        for (length, key) in lengths_and_keys {
            table
                .segments
                .push(Segment { start: table.tail, key: key.map_or(Key::UNKNOWN, |key| Key([key + 1; 16])) });
            table.tail += length;
        }
        table
    }
}

/// Makes a table of entries that come in the archive's order.
struct Builder {
    table: Table,
    entries_left: u64,
    /// What is known about the bytes since the last border.
    namer: Namer,
    start: u64,
    is_known: bool,
    /// The payload under way: where it ends, if that is said, and its padding.
    end: Option<u64>,
    padding: u64,
    /// Users' and groups' names, which eStargz says only where they change.
    names: [BTreeMap<i64, Key>; 2],
}

impl Builder {
    fn new(tail: u64, entries: u64) -> Self {
        Self {
            table: Table { segments: Vec::new(), tail },
            entries_left: entries,
            namer: Namer::default(),
            start: 0,
            is_known: true,
            end: None,
            padding: 0,
            names: Default::default(),
        }
    }

    fn add(&mut self, mut entry: Entry) -> Result<(), String> {
        self.entries_left = self.entries_left.checked_sub(1).ok_or("it has too many entries")?;
        if entry.kind == "chunk" {
            if entry.inner_offset == 0 {
                self.border(entry.offset)?;
            }
            self.payload(&entry);
            return Ok(());
        }
        self.end_payload()?;
        entry.describe_header(&mut self.namer);
        let owners = [(entry.uid, entry.user_name.take()), (entry.gid, entry.group_name.take())];
        for (names, (id, name)) in self.names.iter_mut().zip(owners) {
            if let Some(name) = name {
                let mut namer = Namer::default();
                namer.text(&name);
                names.insert(id, namer.finish());
            }
            if let Some(key) = names.get(&id) {
                self.namer.key(*key);
            }
        }
        if entry.kind == "reg" && entry.size > 0 {
            if entry.offset > 0 && entry.inner_offset == 0 {
                self.border(entry.offset)?;
            }
            self.payload(&entry);
            self.end = entry.end_offset;
            self.padding = entry.size.wrapping_neg() % BLOCK;
        }
        Ok(())
    }

    fn payload(&mut self, entry: &Entry) {
        self.is_known &= entry.describe_payload(&mut self.namer);
    }

    fn end_payload(&mut self) -> Result<(), String> {
        if let Some(end) = self.end.take() {
            self.border(end)?;
        }
        self.namer.number(std::mem::take(&mut self.padding));
        Ok(())
    }

    /// Ends the segment under way at `at`, and begins the next one.
    fn border(&mut self, at: u64) -> Result<(), String> {
        if at == self.start {
            return Ok(());
        }
        if at < self.start || at > self.table.tail {
            let (start, tail) = (self.start, self.table.tail);
            return Err(format!("an offset is {at}, expected between {start} and {tail}"));
        }
        let name = self.namer.finish();
        let key = if self.is_known { name } else { Key::UNKNOWN };
        self.table.segments.push(Segment { start: self.start, key });
        (self.start, self.is_known) = (at, true);
        Ok(())
    }

    fn finish(mut self) -> Result<Table, Error> {
        self.end_payload().map_err(Error::Malformed)?;
        self.namer.text("end");
        self.border(self.table.tail).map_err(Error::Malformed)?;
        Ok(self.table)
    }
}

/// `{"version": 1, "entries": [...]}`.
struct Document<'b>(&'b mut Builder);

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of contents")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut is_there = false;
        while let Some(member) = map.next_key::<String>()? {
            match &*member {
                "version" => match map.next_value::<u64>()? {
                    1 => {}
                    other => {
                        return Err(A::Error::custom(format_args!("its version is {other}, expected 1")));
                    }
                },
                "entries" if !is_there => {
                    is_there = true;
                    map.next_value_seed(Entries(&mut *self.0))?;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if is_there { Ok(()) } else { Err(A::Error::missing_field("entries")) }
    }
}

struct Entries<'b>(&'b mut Builder);

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(entry) = entries.next_element::<Entry>()? {
            self.0.add(entry).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
