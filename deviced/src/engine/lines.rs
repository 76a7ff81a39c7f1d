//! JSON values in lines, as events and pulls come: pieces of bytes -> values. Pure.

use serde_json::Value;

/// A line of more bytes is refused.
const LONGEST: usize = 1 << 20;

/// Bytes of a line that has not ended yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// The values of all lines that end in this piece.
    ///
    /// # Errors
    /// For a line that is no JSON, or too long.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<Vec<Value>, String> {
        let mut values = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(part);
            if part.ends_with(b"\n") {
                values.extend(self.end()?);
            }
            if self.begun.len() > LONGEST {
                return Err(format!("a line has more than {LONGEST} bytes"));
            }
        }
        Ok(values)
    }

    /// The value of a last line without an end.
    pub(super) fn end(&mut self) -> Result<Option<Value>, String> {
        let line = std::mem::take(&mut self.begun);
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        serde_json::from_slice(&line).map(Some).map_err(|problem| problem.to_string())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pieces_may_end_anywhere() {
        let text = b"{\"a\":1}\r\n\n{\"b\":\"x\\ny\"}\n{\"c\":3}";
        for size in 1..text.len() {
            let mut lines = Lines::default();
            let mut values = Vec::new();
            for piece in text.chunks(size) {
                values.extend(lines.push(piece).unwrap());
            }
            values.extend(lines.end().unwrap());
            assert_eq!(values, [json!({"a": 1}), json!({"b": "x\ny"}), json!({"c": 3})], "{size}");
            assert_eq!(lines.end().unwrap(), None);
        }
    }

    #[test]
    fn what_is_no_json_or_has_no_end_is_refused() {
        assert!(Lines::default().push(b"<html>\n").is_err());
        let mut lines = Lines::default();
        let refused = (0..100).any(|_| lines.push(&[b' '; 100_000]).is_err());
        assert!(refused && lines.begun.len() < 2 * LONGEST);
    }
}
