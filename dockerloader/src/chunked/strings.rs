//! JSON whose strings have a largest length, so that reading it takes little memory whatever it says.

use std::io::{self, Read};

use crate::limits::{Limit, OverLimit};

/// Passes JSON on, and fails at a string that is over the limit.
pub(super) struct ShortStrings<R> {
    reader: R,
    limit: Limit,
    /// Bytes of the string that is open.
    open: Option<u64>,
    is_escaped: bool,
}

impl<R> ShortStrings<R> {
    pub(super) const fn new(reader: R, limit: Limit) -> Self {
        Self { reader, limit, open: None, is_escaped: false }
    }

    fn look(&mut self, bytes: &[u8]) -> Result<(), OverLimit> {
        for byte in bytes {
            match (&mut self.open, byte) {
                (None, b'"') => self.open = Some(0),
                (None, _) => {}
                (Some(_), b'"') if !self.is_escaped => self.open = None,
                (Some(length), _) => {
                    *length = self.limit.check(*length + 1)?;
                    self.is_escaped = *byte == b'\\' && !self.is_escaped;
                }
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for ShortStrings<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.look(buffer.get(..count).unwrap_or_default()).map_err(io::Error::other)?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    #[test]
    fn only_strings_count() {
        let limit = Limit { max: 4, ..Limits::default().table_string_bytes };
        for (text, fits) in [
            (r#"{"abcd": [1234567890, "abcd", ""]}"#, true),
            (r#"{"abcde": 1}"#, false),
            (r#"["\"\"", "\\"]"#, true),
            (r#"["\"\"\""]"#, false),
            (r#"["\\", "\\\\", 123456]"#, true),
            (r#"["never closed"#, false),
        ] {
            // Byte by byte: what counts goes over the borders of reads.
            let mut reader = ShortStrings::new(io::Cursor::new(text), limit);
            let mut byte = [0];
            let read = loop {
                match reader.read(&mut byte) {
                    Ok(0) => break true,
                    Ok(_) => {}
                    Err(_) => break false,
                }
            };
            assert_eq!(read, fits, "{text}");
        }
    }
}
