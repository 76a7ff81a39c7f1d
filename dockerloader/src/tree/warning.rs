//! What could not be had on this machine, or was left out on purpose: told once each, not per file.

use std::collections::BTreeMap;
use std::fmt;

use super::path::quote;

/// A kind of deviation between the image and its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum WarningKind {
    /// Not permitted to give files to others: they belong to whoever extracts, without setuid and setgid.
    OwnerKept,
    /// The file system or the kernel does not take an extended attribute.
    XattrRefused,
    /// An attribute or device that overlay file systems would obey is not made.
    OverlayMarker,
    /// Not permitted to make device nodes.
    DeviceSkipped,
    /// Something follows the end of the archive; all engines ignore it.
    TrailingData,
}

/// A kind of deviation, how often, and where first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What happened.
    pub kind: WarningKind,
    /// The path of the first entry it happened to, escaped and shortened.
    pub first: String,
    /// Entries it happened to.
    pub count: u64,
}

impl WarningKind {
    /// By which it is stored.
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::OwnerKept => b'o',
            Self::XattrRefused => b'x',
            Self::OverlayMarker => b'm',
            Self::DeviceSkipped => b'd',
            Self::TrailingData => b't',
        }
    }

    pub(super) const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            b'o' => Self::OwnerKept,
            b'x' => Self::XattrRefused,
            b'm' => Self::OverlayMarker,
            b'd' => Self::DeviceSkipped,
            b't' => Self::TrailingData,
            _ => return None,
        })
    }
}

impl fmt::Display for WarningKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OwnerKept => "owner not set: not permitted, files stay with the extracting user",
            Self::XattrRefused => "extended attribute not set: not permitted or not supported here",
            Self::OverlayMarker => "overlay marker left out: it would hide other files",
            Self::DeviceSkipped => "device not made: not permitted",
            Self::TrailingData => "bytes after the end of the archive ignored",
        })
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (\"{}\"", self.kind, self.first)?;
        if self.count > 1 { write!(f, " and {} more)", self.count - 1) } else { f.write_str(")") }
    }
}

/// The warnings of an extraction.
#[derive(Debug, Default)]
pub(super) struct Warnings(BTreeMap<WarningKind, Warning>);

impl Warnings {
    pub(super) fn add(&mut self, kind: WarningKind, path: &[u8]) {
        self.0.entry(kind).or_insert_with(|| Warning { kind, first: quote(path), count: 0 }).count += 1;
    }

    /// Those that were met elsewhere, later.
    pub(super) fn merge(&mut self, others: impl IntoIterator<Item = Warning>) {
        for Warning { kind, first, count } in others {
            self.0.entry(kind).or_insert(Warning { kind, first, count: 0 }).count += count;
        }
    }

    pub(super) fn into_vec(self) -> Vec<Warning> {
        self.0.into_values().collect()
    }
}
