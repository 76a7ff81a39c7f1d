//! The 512-byte header of a tar entry: fields at fixed places, nothing interpreted.
//!
//! POSIX.1-1988 (ustar), GNU tar manual, "Basic Tar Format"; star's base-256 numbers.

use super::refusal::Rule;

/// Bytes of a header, and the unit to which contents are padded.
pub(super) const BLOCK: usize = 512;

/// One header block.
pub(super) struct Header<'a>(pub(super) &'a [u8; BLOCK]);

impl<'a> Header<'a> {
    /// A block of zeros: two of them end an archive.
    pub(super) fn is_zero(&self) -> bool {
        self.0.iter().all(|&byte| byte == 0)
    }

    /// # Errors
    /// [`Rule::Checksum`] when the sum of the bytes, signed or unsigned as old tars had it, is not what the header says.
    pub(super) fn verify_checksum(&self) -> Result<(), Rule> {
        let stored = number(self.field::<8>(148), "checksum").map_err(|_| Rule::Checksum)?;
        let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
        // The field counts as blanks.
        let unsigned = i64::from(sum(self.0)) - i64::from(sum(self.field::<8>(148))) + 8 * i64::from(b' ');
        if stored == unsigned {
            return Ok(());
        }
        let negative = |bytes: &[u8]| bytes.iter().filter(|byte| !byte.is_ascii()).count();
        let count = negative(self.0) - negative(self.field::<8>(148));
        let signed = unsigned - 256 * i64::try_from(count).unwrap_or(0);
        if stored == signed { Ok(()) } else { Err(Rule::Checksum) }
    }

    pub(super) fn type_flag(&self) -> u8 {
        self.field::<1>(156)[0]
    }

    pub(super) fn name(&self) -> &'a [u8] {
        until_nul(self.field::<100>(0))
    }

    pub(super) fn link_name(&self) -> &'a [u8] {
        until_nul(self.field::<100>(157))
    }

    /// The leading part of a long path: of ustar headers alone, GNU's old format has other fields there.
    pub(super) fn prefix(&self) -> &'a [u8] {
        if self.field::<6>(257) == b"ustar\0" { until_nul(self.field::<155>(345)) } else { &[] }
    }

    /// Permission bits, with setuid, setgid and sticky; the type bits that some tools add are dropped.
    pub(super) fn mode(&self) -> Result<u32, Rule> {
        let mode = number(self.field::<8>(100), "mode")?;
        Ok(u32::try_from(mode & 0o7777).unwrap_or(0))
    }

    pub(super) fn uid(&self) -> Result<u64, Rule> {
        natural(self.field::<8>(108), "uid")
    }

    pub(super) fn gid(&self) -> Result<u64, Rule> {
        natural(self.field::<8>(116), "gid")
    }

    pub(super) fn size(&self) -> Result<u64, Rule> {
        natural(self.field::<12>(124), "size")
    }

    pub(super) fn mtime(&self) -> Result<i64, Rule> {
        number(self.field::<12>(136), "mtime")
    }

    pub(super) fn device(&self) -> Result<(u32, u32), Rule> {
        let part = |at, name| u32::try_from(natural(self.field::<8>(at), name)?).map_err(|_| Rule::Device);
        Ok((part(329, "devmajor")?, part(337, "devminor")?))
    }

    /// The first four segments of an old GNU sparse file.
    pub(super) fn sparse(&self) -> &'a [u8] {
        self.field::<96>(386)
    }

    /// Whether blocks with further segments follow.
    pub(super) fn sparse_continues(&self) -> bool {
        self.field::<1>(482)[0] != 0
    }

    /// The size of an old GNU sparse file with its holes.
    pub(super) fn sparse_size(&self) -> Result<u64, Rule> {
        natural(self.field::<12>(483), "realsize")
    }

    /// `N` bytes at a constant offset within the block.
    fn field<const N: usize>(&self, at: usize) -> &'a [u8; N] {
        self.0.get(at..).and_then(|rest| rest.first_chunk()).unwrap_or(&[0; N])
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or(bytes)
}

/// A number that cannot be negative.
pub(super) fn natural(bytes: &[u8], field: &'static str) -> Result<u64, Rule> {
    u64::try_from(number(bytes, field)?).map_err(|_| Rule::Number(field))
}

/// Octal digits between blanks and NULs, or base-256 in two's complement when the first bit is set.
fn number(bytes: &[u8], field: &'static str) -> Result<i64, Rule> {
    let wrong = || Rule::Number(field);
    match bytes {
        // The first byte's top bit is the mark; the next one is the sign.
        [first, rest @ ..] if first & 0x80 != 0 => {
            let start = i64::from((first << 1).cast_signed() >> 1);
            rest.iter().try_fold(start, |value, &byte| {
                value.checked_mul(256).and_then(|value| value.checked_add(i64::from(byte))).ok_or_else(wrong)
            })
        }
        _ => {
            let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | 0x0b);
            let text = until_nul(bytes);
            let start = text.iter().position(|byte| !blank(byte)).unwrap_or(text.len());
            let text = text.get(start..).unwrap_or_default();
            let end = text.iter().position(blank).unwrap_or(text.len());
            let (digits, padding) = text.split_at(end);
            if !padding.iter().all(blank) {
                return Err(wrong());
            }
            digits.iter().try_fold(0i64, |value, &digit| match digit {
                b'0'..=b'7' => value
                    .checked_mul(8)
                    .and_then(|value| value.checked_add(i64::from(digit - b'0')))
                    .ok_or_else(wrong),
                _ => Err(wrong()),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_of_unsigned_or_signed_bytes() {
        let with = |sum: i64| {
            let mut block = [7; BLOCK];
            block[10] = 0xff;
            block[148..156].copy_from_slice(format!("{sum:06o}\0\u{7f}").as_bytes());
            Header(&block).verify_checksum()
        };
        let rest = 503 * 7 + 8 * 32;
        assert_eq!((with(rest + 255), with(rest - 1)), (Ok(()), Ok(())));
        for wrong in [rest, rest + 254, rest + 256, rest + 1, 0] {
            assert_eq!(with(wrong), Err(Rule::Checksum), "{wrong}");
        }
    }

    #[test]
    fn numbers_are_octal_or_base_256() {
        let table: [(&[u8], Option<i64>); 14] = [
            (b"0000644\0", Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"77777777", Some(0o77_777_777)),
            (b"0000648\0", None),
            (b"-000001\0", None),
            (b"1 1\0\0\0\0\0", None),
            (b"\x80\0\0\0\0\0\x01\x00", Some(256)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x9c", Some(-100)),
            (b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX)),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
            // Would be 512 if the bits above the 64th were dropped.
            (b"\x80\0\x01\0\0\0\0\0\0\0\x02\0", None),
        ];
        for (bytes, expected) in table {
            assert_eq!(number(bytes, "x").ok(), expected, "{}", bytes.escape_ascii());
        }
        assert!(natural(b"\xff\xff\xff\xff\xff\xff\xff\xff", "x").is_err());
    }
}
