//! From a layer's blob to the tar stream in it. The format is told by the first bytes: media types are wrong in the wild.

use std::io::{self, BufReader, Chain, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

use crate::limits::{Limits, OverLimit};

use super::error::Error;

/// The ratio is not looked at before this many bytes: a small layer of zeros is no bomb.
const RATIO_FROM: u64 = 64 << 20;

/// Bytes read from the blob at a time.
const BUFFER: usize = 128 << 10;

type Input<R> = BufReader<Chain<Cursor<Vec<u8>>, Counted<R>>>;

/// The uncompressed bytes of a layer.
pub(super) struct Decompress<R: Read> {
    decoder: Decoder<R>,
    limits: Limits,
    produced: u64,
}

enum Decoder<R: Read> {
    Plain(Input<R>),
    /// Several members are one stream: pigz, eStargz and SOCI write such (RFC 1952, 2.2).
    Gzip(Box<MultiGzDecoder<Input<R>>>),
    /// Several frames and skippable ones are one stream (RFC 8878, 3.1).
    Zstd(Box<zstd::stream::read::Decoder<'static, Input<R>>>),
}

impl<R: Read> Decompress<R> {
    /// Looks at the first bytes of `reader` and chooses the decoder.
    ///
    /// # Errors
    /// Of the reader, or a format that layers do not have.
    pub(super) fn new(mut reader: R, limits: &Limits) -> Result<Self, Error> {
        let mut magic = Vec::with_capacity(6);
        reader.by_ref().take(6).read_to_end(&mut magic).map_err(Error::Read)?;
        let format = sniff(&magic)?;
        let counted = Counted { reader, count: magic.len() as u64 };
        let input = BufReader::with_capacity(BUFFER, Cursor::new(magic).chain(counted));
        let decoder = match format {
            Format::Plain => Decoder::Plain(input),
            Format::Gzip => Decoder::Gzip(Box::new(MultiGzDecoder::new(input))),
            Format::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)
                    .map_err(|error| damaged("zstd", &error))?;
                let log = u32::try_from(limits.zstd_window_log.max).unwrap_or(u32::MAX);
                decoder.window_log_max(log).map_err(|error| damaged("zstd", &error))?;
                Decoder::Zstd(Box::new(decoder))
            }
        };
        Ok(Self { decoder, limits: *limits, produced: 0 })
    }

    /// Fills `buffer` as far as the stream goes; less than its length only at the end.
    ///
    /// # Errors
    /// Of the reader or decoder, or [`Limits::inflate_ratio`].
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read(rest)? {
                0 => break,
                count => filled += count,
            }
        }
        Ok(filled)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let result = match &mut self.decoder {
            Decoder::Plain(input) => input.read(buffer),
            Decoder::Gzip(decoder) => decoder.read(buffer),
            Decoder::Zstd(decoder) => decoder.read(buffer),
        };
        let count = match result {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return self.read(buffer),
            Err(error) => return Err(self.explain(error)),
        };
        self.produced += count as u64;
        if self.produced > RATIO_FROM {
            let ratio = self.produced / self.consumed().max(1);
            self.limits.inflate_ratio.check(ratio)?;
        }
        Ok(count)
    }

    /// Bytes taken from the reader; `u64::MAX` for plain layers, which cannot grow.
    fn consumed(&self) -> u64 {
        match &self.decoder {
            Decoder::Plain(_) => u64::MAX,
            Decoder::Gzip(decoder) => decoder.get_ref().get_ref().get_ref().1.count,
            Decoder::Zstd(decoder) => decoder.get_ref().get_ref().get_ref().1.count,
        }
    }

    /// Tells an error of the caller's reader, of the compressed stream, and of the window limit apart.
    fn explain(&self, error: io::Error) -> Error {
        let error = match error.downcast::<ReaderError>() {
            Ok(ReaderError(inner)) => return Error::Read(inner),
            Err(error) => error,
        };
        match &self.decoder {
            Decoder::Plain(_) => Error::Read(error),
            _ if error.kind() == io::ErrorKind::UnexpectedEof => Error::Truncated("its compressed stream"),
            Decoder::Gzip(_) => damaged("gzip", &error),
            // The library has no code for it in its errors, only this text (zstd.h, windowTooLarge).
            Decoder::Zstd(_) if error.to_string().contains("too much memory") => {
                let limit = self.limits.zstd_window_log;
                Error::Limit(OverLimit { limit, found: limit.max.saturating_add(1) })
            }
            Decoder::Zstd(_) => damaged("zstd", &error),
        }
    }
}

fn damaged(format: &'static str, error: &io::Error) -> Error {
    Error::Damaged { format, detail: error.to_string() }
}

#[derive(Debug, PartialEq, Eq)]
enum Format {
    Plain,
    Gzip,
    Zstd,
}

fn sniff(magic: &[u8]) -> Result<Format, Error> {
    match magic {
        [0x1f, 0x8b, ..] => Ok(Format::Gzip),
        // A frame, or a skippable frame before the first one.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Format::Zstd),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Err(Error::Compression("xz")),
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41] => Err(Error::Compression("bzip2")),
        _ => Ok(Format::Plain),
    }
}

/// The caller's reader, counted; its errors are marked so that they can be told from the decoder's.
struct Counted<R> {
    reader: R,
    count: u64,
}

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct ReaderError(io::Error);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.reader.read(buffer) {
            Ok(count) => {
                self.count += count as u64;
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => Err(io::Error::other(ReaderError(error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 3).unwrap()
    }

    fn inflate(bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let mut stream = Decompress::new(bytes, &Limits::default())?;
        let mut all = Vec::new();
        let mut buffer = vec![0; 70_000];
        loop {
            let count = stream.fill(&mut buffer)?;
            all.extend_from_slice(&buffer[..count]);
            if count < buffer.len() {
                return Ok(all);
            }
        }
    }

    #[test]
    fn the_first_bytes_tell_the_format() {
        let text = b"contents ".repeat(20_000);
        assert_eq!(inflate(&text).unwrap(), text);
        assert_eq!(inflate(&gzip(&text)).unwrap(), text);
        assert_eq!(inflate(&zstd(&text)).unwrap(), text);
        assert_eq!(inflate(b"").unwrap(), b"");
        assert_eq!(inflate(b"abc").unwrap(), b"abc");
        assert!(matches!(inflate(b"\xfd7zXZ\0"), Err(Error::Compression("xz"))));
        assert!(matches!(inflate(b"BZh91AY&SY"), Err(Error::Compression("bzip2"))));
    }

    #[test]
    fn members_and_frames_are_one_stream() {
        assert_eq!(inflate(&[gzip(b"one "), gzip(b""), gzip(b"two")].concat()).unwrap(), b"one two");
        let skippable = b"\x5a\x2a\x4d\x18\x03\0\0\0abc".to_vec();
        let frames = [skippable.clone(), zstd(b"one "), skippable.clone(), zstd(b"two"), skippable].concat();
        assert_eq!(inflate(&frames).unwrap(), b"one two");
    }

    #[test]
    fn damage_is_told_from_truncation_and_garbage() {
        for good in [gzip(&b"contents ".repeat(1000)), zstd(&b"contents ".repeat(1000))] {
            for cut in [good.len() / 2, good.len() - 1] {
                let result = inflate(&good[..cut]);
                assert!(matches!(result, Err(Error::Truncated(_))), "{cut}: {result:?}");
            }
            let mut garbage = good.clone();
            garbage.extend_from_slice(b"garbage after the end");
            assert!(matches!(inflate(&garbage), Err(Error::Damaged { .. })));
        }
        let mut wrong_crc = gzip(b"contents");
        let crc = wrong_crc.len() - 8;
        wrong_crc[crc] ^= 1;
        let error = inflate(&wrong_crc).unwrap_err();
        assert!(matches!(error, Error::Damaged { format: "gzip", .. }), "{error}");
    }

    #[test]
    fn bombs_and_giant_windows_are_refused_by_name() {
        let zeros = vec![0u8; 80 << 20];
        for bomb in [gzip(&zeros), zstd(&zeros)] {
            let error = inflate(&bomb).unwrap_err();
            assert!(matches!(&error, Error::Limit(over) if over.limit.name == "inflate-ratio"), "{error}");
        }
        // A frame header that asks for a window of 2^31 bytes.
        let window = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00];
        let error = inflate(&window).unwrap_err();
        assert!(matches!(&error, Error::Limit(over) if over.limit.name == "zstd-window-log"), "{error}");
    }

    #[test]
    fn the_readers_own_error_stays_its_own() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "connection lost"))
            }
        }
        let half = gzip(&b"contents ".repeat(1000));
        let reader = io::Cursor::new(half[..half.len() / 2].to_vec()).chain(Failing);
        let mut stream = Decompress::new(reader, &Limits::default()).unwrap();
        let error = stream.fill(&mut vec![0; 100_000]).unwrap_err();
        assert!(matches!(&error, Error::Read(inner) if inner.to_string() == "connection lost"), "{error}");
    }
}
