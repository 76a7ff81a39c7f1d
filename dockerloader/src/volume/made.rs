//! How a version's tree came to be: what users look at after an update.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Method;

/// How a version's tree was made, and what that took.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// By which method; `None` when it was extracted from its layers.
    pub method: Option<Method>,
    /// What it began as.
    pub base: Origin,
    /// Layers of the image.
    pub layers: u64,
    /// Those that were neither fetched nor read.
    pub layers_unchanged: u64,
    /// Files, folders, links and devices in the tree.
    pub files: u64,
    /// Those that were made, or changed.
    pub files_written: u64,
    /// Bytes of blobs that came from the registry; neither what an earlier download left nor what was copied from other blobs.
    pub fetched: u64,
    /// Bytes that were written to files of the tree.
    pub written: u64,
}

/// What a tree began as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// An empty directory.
    #[default]
    Empty,
    /// The spare tree.
    Spare,
    /// The current version's tree.
    Current,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, files_written, layers, layers_unchanged, .. } = self;
        let (fetched, written) = (Bytes(self.fetched), Bytes(self.written));
        let Some(method) = self.method else {
            return write!(
                f,
                "extracted: {} files of {layers} layers, {fetched} fetched, {written} written",
                Grouped(*files)
            );
        };
        write!(
            f,
            "updated: {} of {} files, {layers_unchanged} of {layers} layers unchanged, {fetched} fetched, {written} \
             written, by {method}",
            Grouped(*files_written),
            Grouped(*files)
        )?;
        f.write_str(match self.base {
            Origin::Empty => " of the current version's files",
            Origin::Spare => " from the spare tree",
            Origin::Current => " of the current version",
        })
    }
}

/// `60,529`.
struct Grouped(u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (position, digit) in digits.chars().enumerate() {
            if position > 0 && (digits.len() - position).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// `512 B`, `2.1 MB`: powers of 1000, as of what is downloaded.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "kB")];
        for (size, unit) in units {
            if self.0 >= size {
                return write!(f, "{}.{} {unit}", self.0 / size, self.0 % size * 10 / size);
            }
        }
        write!(f, "{} B", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_one_sentence() {
        let mut made = Made {
            method: Some(Method::Copy),
            base: Origin::Spare,
            layers: 3,
            layers_unchanged: 2,
            files: 60_529,
            files_written: 12,
            fetched: 2_199_999,
            written: 999,
        };
        let text =
            "updated: 12 of 60,529 files, 2 of 3 layers unchanged, 2.1 MB fetched, 999 B written, by copy";
        assert_eq!(made.to_string(), format!("{text} from the spare tree"));
        made.base = Origin::Empty;
        assert_eq!(made.to_string(), format!("{text} of the current version's files"));
        made.method = None;
        made.files = 1_000_000;
        let text = "extracted: 1,000,000 files of 3 layers, 2.1 MB fetched, 999 B written";
        assert_eq!(made.to_string(), text);
    }
}
