//! Paths inside an image: bytes that can only lead downwards.

use crate::limits::Limits;

use super::refusal::Rule;

/// The longest name of one component that Linux file systems hold (`NAME_MAX`).
const NAME_MAX: usize = 255;

/// A path of an archive entry, relative to the image's root: no `..`, no NUL, within the limits. A leading `/` or `./`
/// means the root, as for Docker and GNU tar; empty and `.` components do not count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RelativePath<'a> {
    bytes: &'a [u8],
}

impl<'a> RelativePath<'a> {
    /// The path in `bytes`.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn parse(bytes: &'a [u8], limits: &Limits) -> Result<Self, Rule> {
        limits.path_bytes.check(bytes.len() as u64)?;
        if bytes.contains(&0) {
            return Err(Rule::Nul);
        }
        let path = Self { bytes };
        let mut depth = 0u64;
        for component in path.components() {
            if component == b".." {
                return Err(Rule::ParentComponent);
            }
            if component.len() > NAME_MAX {
                return Err(Rule::LongComponent(component.len()));
            }
            depth += 1;
        }
        limits.path_depth.check(depth)?;
        Ok(path)
    }

    /// The components from the root down; none for the root itself.
    pub fn components(self) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        components(self.bytes)
    }

    /// Whether this is the root itself.
    pub fn is_root(self) -> bool {
        self.components().next().is_none()
    }

    /// The path of the folder that holds the last component, and that component; `None` for the root.
    pub fn split_last(self) -> Option<(Self, &'a [u8])> {
        let mut rest = self.bytes;
        loop {
            let (parent, name) = match rest.iter().rposition(|&byte| byte == b'/') {
                Some(at) => (rest.get(..at)?, rest.get(at + 1..)?),
                None => (&[][..], rest),
            };
            if !name.is_empty() && name != b"." {
                return Some((Self { bytes: parent }, name));
            }
            if parent.len() == rest.len() || rest.is_empty() {
                return None;
            }
            rest = parent;
        }
    }

    /// The bytes as the archive has them.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }
}

impl std::fmt::Debug for RelativePath<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", quote(self.bytes))
    }
}

/// The components of a path that is not validated: `..` stays, empty ones and `.` go.
pub(super) fn components(bytes: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    bytes.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".")
}

/// A name in a folder of the tree; the root's path is empty.
pub(super) fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() }
}

/// The folder of a plain path, and the name in it.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (&[], path),
    }
}

/// Bytes of an archive as text for a person: one line, ASCII, bounded.
pub(super) fn quote(bytes: &[u8]) -> String {
    const MAX: usize = 200;
    match bytes.get(..MAX) {
        Some(start) if bytes.len() > MAX => format!("{}... ({} bytes)", start.escape_ascii(), bytes.len()),
        _ => bytes.escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<Vec<&[u8]>, Rule> {
        RelativePath::parse(bytes, &Limits::default()).map(|path| path.components().collect())
    }

    #[test]
    fn a_path_only_leads_downwards() {
        let table: [(&[u8], &[&[u8]]); 8] = [
            (b"a/b", &[b"a", b"b"]),
            (b"/a//b/./", &[b"a", b"b"]),
            (b"./a", &[b"a"]),
            (b"././//", &[]),
            (b"", &[]),
            (b"...", &[b"..."]),
            (b"a\\..\\b", &[b"a\\..\\b"]),
            (b"\xff\n/x", &[b"\xff\n", b"x"]),
        ];
        for (bytes, expected) in table {
            assert_eq!(parse(bytes).unwrap(), expected, "{}", quote(bytes));
        }
        for bad in [b"..".as_slice(), b"../x", b"a/../x", b"/..", b"./../x", b"a/.."] {
            assert!(matches!(parse(bad), Err(Rule::ParentComponent)), "{}", quote(bad));
        }
        assert!(matches!(parse(b"a\0b"), Err(Rule::Nul)));
        assert!(matches!(parse(&[b'a'; 256]), Err(Rule::LongComponent(256))));
        assert!(
            matches!(parse(&b"a/".repeat(257)), Err(Rule::Limit(over)) if over.limit.name == "path-depth")
        );
        assert!(
            matches!(parse(&b"/".repeat(4097)), Err(Rule::Limit(over)) if over.limit.name == "path-bytes")
        );
    }

    #[test]
    fn the_last_component_is_split_off() {
        let split = |bytes: &'static [u8]| {
            RelativePath::parse(bytes, &Limits::default())
                .unwrap()
                .split_last()
                .map(|(parent, name)| (parent.components().collect::<Vec<_>>(), name))
        };
        assert_eq!(split(b"a/b/c"), Some((vec![b"a".as_slice(), b"b"], b"c".as_slice())));
        assert_eq!(split(b"/a/./b/.//"), Some((vec![b"a".as_slice()], b"b".as_slice())));
        assert_eq!(split(b"a"), Some((vec![], b"a".as_slice())));
        assert_eq!(split(b"/a"), Some((vec![], b"a".as_slice())));
        for root in [b"".as_slice(), b".", b"./", b"/", b"//./."] {
            assert_eq!(split(root), None, "{}", quote(root));
        }
    }
}
