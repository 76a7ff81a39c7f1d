//! Where a layer's table of contents lies: by the annotations of its descriptor, and for eStargz by the blob's footer. Pure.

use std::ops::Range;

use crate::digest::Digest;
use crate::limits::Limits;
use crate::manifest::Descriptor;

use super::Error;

/// Prefixes of the annotations of zstd:chunked: today's, and that of containers/storage before 1.44.
const ZSTD_PREFIXES: [&str; 2] = ["io.github.containers.zstd-chunked.", "io.containers.zstd-chunked."];

/// The annotation of eStargz.
const STARGZ: &str = "containerd.io/snapshot/stargz/toc.digest";

/// The type of table that zstd:chunked has (`ManifestTypeCRFS`).
const ZSTD_TYPE: u64 = 1;

/// Bytes of a skippable frame before its content (RFC 8878, 3.1.2).
const SKIPPABLE_HEADER: u64 = 8;

/// What a descriptor says about its blob's table of contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// zstd:chunked: the annotations say it all.
    Zstd(Located),
    /// eStargz: the footer says where.
    Stargz {
        /// Digest of the table, decompressed.
        digest: Digest,
    },
}

/// A table of contents whose place is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Where the contents end and the table's frames begin, which go to the blob's end.
    pub tail: u64,
    /// The compressed table: of zstd:chunked a zstd stream of JSON; of eStargz a gzip stream of a tar archive of JSON.
    pub table: Range<u64>,
    /// How it is compressed, and how it is told that it is the right one.
    pub format: Format,
}

/// How a table is compressed, and how it is told that it is the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// zstd:chunked.
    Zstd {
        /// Bytes of the table, decompressed.
        inflated: u64,
        /// Digest of the table, compressed.
        checksum: Option<Digest>,
    },
    /// eStargz.
    Stargz {
        /// Digest of the table, decompressed.
        digest: Digest,
    },
}

impl Place {
    /// What the annotations of a descriptor say; `None` where there is no table, or none that can be used.
    pub fn of(descriptor: &Descriptor, limits: &Limits) -> Option<Self> {
        let annotation = |name: &str| descriptor.annotations.get(name).map(String::as_str);
        let zstd = ZSTD_PREFIXES.iter().find_map(|prefix| {
            let position = annotation(&format!("{prefix}manifest-position"))?;
            let checksum =
                annotation(&format!("{prefix}manifest-checksum")).and_then(|text| text.parse().ok());
            zstd(position, checksum, descriptor.size, limits)
        });
        match zstd {
            Some(located) => Some(Self::Zstd(located)),
            None => Some(Self::Stargz { digest: annotation(STARGZ)?.parse().ok()? }),
        }
    }

    /// Where the table lies, by the blob's last bytes where the annotations don't say it.
    ///
    /// # Errors
    /// [`Error::Malformed`] when there is no footer, or it points nowhere; [`Error::Limit`].
    pub fn locate(&self, last_bytes: &[u8], size: u64, limits: &Limits) -> Result<Located, Error> {
        match self {
            Self::Zstd(located) => Ok(located.clone()),
            Self::Stargz { digest } => {
                let (tail, footer) =
                    footer(last_bytes).ok_or_else(|| Error::malformed("there is no footer"))?;
                let end = size.saturating_sub(footer);
                if tail == 0 || tail >= end {
                    return Err(Error::malformed(format_args!(
                        "the footer says {tail} in a blob of {size} bytes"
                    )));
                }
                limits.table_bytes.check(size - tail)?;
                Ok(Located { tail, table: tail..end, format: Format::Stargz { digest: *digest } })
            }
        }
    }
}

/// Reads `<offset>:<length>:<length decompressed>:<type>`.
fn zstd(position: &str, checksum: Option<Digest>, size: u64, limits: &Limits) -> Option<Located> {
    let numbers: Vec<u64> = position.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [offset, length, inflated, ZSTD_TYPE] = numbers[..] else { return None };
    let tail = offset.checked_sub(SKIPPABLE_HEADER).filter(|tail| *tail > 0)?;
    let end = offset.checked_add(length).filter(|end| *end <= size)?;
    limits.table_bytes.check(size - tail).ok()?;
    limits.table_inflated_bytes.check(inflated).ok()?;
    Some(Located { tail, table: offset..end, format: Format::Zstd { inflated, checksum } })
}

/// Bytes of the footer of eStargz, and of stargz, from which it comes.
const FOOTERS: [(u64, &[u8]); 2] = [(51, b"\x1a\0SG\x16\0"), (47, b"\x16\0")];

/// Reads an eStargz footer: an empty gzip member whose extra field (RFC 1952, 2.3.1.1) says where the table begins, in 16
/// hexadecimal digits. Returns that, and the footer's length.
fn footer(last_bytes: &[u8]) -> Option<(u64, u64)> {
    FOOTERS.iter().find_map(|(length, extra)| {
        let start = last_bytes.len().checked_sub(usize::try_from(*length).ok()?)?;
        let rest = last_bytes.get(start..)?.strip_prefix(b"\x1f\x8b\x08\x04")?;
        // Time, flags and system say nothing.
        let rest = rest.get(6..)?.strip_prefix(*extra)?;
        let (digits, rest) = rest.split_at_checked(16)?;
        rest.strip_prefix(b"STARGZ")?;
        let digits =
            std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))?;
        Some((u64::from_str_radix(digits, 16).ok()?, *length))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECKSUM: &str = "sha256:eea61adeb35c3ee3910f1c5112a126fd798e920160be263c04bec4c52dd9bf93";

    fn descriptor(size: u64, annotations: &[(&str, &str)]) -> Descriptor {
        let pairs = annotations.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Descriptor {
            media_type: String::new(),
            digest: Digest::from_bytes([0; 32]),
            size,
            urls: Vec::new(),
            annotations: pairs.collect(),
            platform: None,
        }
    }

    #[test]
    fn positions_are_believed_only_inside_the_blob() {
        let max = Limits::default().table_inflated_bytes.max;
        for (position, size, tail) in [
            ("5921602:20277:89488:1", 5_941_927, Some(5_921_594)),
            ("100:50:90:1", 150, Some(92)),
            ("100:51:90:1", 150, None),
            ("100:18446744073709551615:90:1", 150, None),
            ("8:1:1:1", 150, None),
            ("7:1:1:1", 150, None),
            ("100:50:90:2", 150, None),
            ("100:50:90", 150, None),
            ("100:50:90:1:1", 150, None),
            ("100:-50:90:1", 150, None),
            ("", 150, None),
            (&format!("100:50:{max}:1"), 150, Some(92)),
            (&format!("100:50:{}:1", max + 1), 150, None),
            ("100:50:90:1", 1 << 40, None),
        ] {
            for prefix in ZSTD_PREFIXES {
                let annotations = [(&*format!("{prefix}manifest-position"), position)];
                let found = Place::of(&descriptor(size, &annotations), &Limits::default());
                let found = found.map(|place| match place {
                    Place::Zstd(located) => located.tail,
                    Place::Stargz { .. } => panic!("no annotation of eStargz"),
                });
                assert_eq!(found, tail, "{position} in {size}");
            }
        }
        let both = [
            (ZSTD_PREFIXES[0].to_owned() + "manifest-position", "100:50:90:1"),
            (STARGZ.to_owned(), CHECKSUM),
        ];
        let both: Vec<_> = both.iter().map(|(name, value)| (&**name, *value)).collect();
        assert!(matches!(Place::of(&descriptor(150, &both), &Limits::default()), Some(Place::Zstd(_))));
        assert!(matches!(
            Place::of(&descriptor(150, &both[1..]), &Limits::default()),
            Some(Place::Stargz { .. })
        ));
        assert_eq!(Place::of(&descriptor(150, &[(STARGZ, "sha512:1")]), &Limits::default()), None);
        assert_eq!(Place::of(&descriptor(150, &[]), &Limits::default()), None);
    }

    fn footer_bytes(extra: &str, offset: &str) -> Vec<u8> {
        let end = b"\x01\0\0\xff\xff\0\0\0\0\0\0\0\0";
        [b"\x1f\x8b\x08\x04\0\0\0\0\0\xff", extra.as_bytes(), offset.as_bytes(), b"STARGZ", end].concat()
    }

    #[test]
    fn footers_say_where_the_table_begins() {
        let (today, legacy) = ("\x1a\0SG\x16\0", "\x16\0");
        for (extra, offset, expected) in [
            (today, "0000000000000064", Some(100..949)),
            (legacy, "0000000000000064", Some(100..953)),
            (today, "0000000000000000", None),
            (today, "00000000000003e8", None),
            (today, "ffffffffffffffff", None),
            (today, "+000000000000064", None),
            ("\x1a\0SX\x16\0", "0000000000000064", None),
        ] {
            let bytes = footer_bytes(extra, offset);
            let place = Place::Stargz { digest: CHECKSUM.parse().unwrap() };
            for before in ["", "something"] {
                let bytes = [before.as_bytes(), &bytes].concat();
                let located = place.locate(&bytes, 1000, &Limits::default());
                assert_eq!(located.ok().map(|located| located.table), expected, "{extra:?} {offset}");
            }
        }
        let place = Place::Stargz { digest: CHECKSUM.parse().unwrap() };
        let bytes = footer_bytes(today, "0000000000000064");
        for cut in [0, 1, 50] {
            assert!(place.locate(&bytes[..cut], 1000, &Limits::default()).is_err());
        }
        assert!(matches!(place.locate(&bytes, 1 << 40, &Limits::default()), Err(Error::Limit(_))));
    }
}
