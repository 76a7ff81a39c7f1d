//! One entry of a layer: header and extension records in, a checked description out. Nothing here touches a disk.
//!
//! Where readers of tar disagree on what an archive means, the entry is refused rather than guessed.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::limits::Limits;

use super::header::Header;
use super::path::RelativePath;
use super::pax::{Records, Timestamp, decimal, timestamp};
use super::refusal::Rule;
use super::sparse::{self, Segment};

/// What an entry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Where in the image.
    pub path: RelativePath<'a>,
    /// What it is.
    pub kind: Kind<'a>,
    /// Mode, owner and time.
    pub attributes: Attributes,
    /// Extended attributes, sorted by name, each name once.
    pub xattrs: Vec<Xattr<'a>>,
    /// The map of a sparse file, valid for its size and for `stored`.
    pub sparse: Option<&'a [Segment]>,
    /// Bytes of contents that follow in the archive.
    pub stored: u64,
}

/// Name and value of an extended attribute.
pub type Xattr<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// The same, on its own.
pub(super) type OwnedXattr = (Box<[u8]>, Box<[u8]>);

/// Mode, owner and modification time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes {
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time.
    pub mtime: Timestamp,
}

impl Attributes {
    /// Those of a folder that no entry describes, but that an entry below it needs.
    pub const IMPLIED: Self =
        Self { mode: 0o755, uid: 0, gid: 0, mtime: Timestamp { seconds: 0, nanoseconds: 0 } };
}

/// What an entry is (OCI image spec, layer.md, "File Types" and "Whiteouts").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A folder.
    Directory,
    /// A regular file.
    File {
        /// Its size, holes included.
        size: u64,
    },
    /// A symbolic link; the target is any text, never followed by the extraction of this entry.
    Symlink {
        /// What it points to.
        target: &'a [u8],
    },
    /// Another name for a file of the image.
    Hardlink {
        /// The file's path in the image.
        target: RelativePath<'a>,
    },
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// `.wh.NAME`: what lower layers have under NAME, beside this entry, is gone.
    Whiteout {
        /// The name.
        name: &'a [u8],
    },
    /// `.wh..wh..opq`: whatever lower layers have in this entry's folder is gone.
    Opaque,
    /// Nothing to do.
    Skip(Skip),
}

/// Why an entry is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// A volume label of GNU tar.
    Label,
    /// Housekeeping of the aufs storage driver.
    Aufs,
}

/// The prefix of whiteouts, and that of aufs housekeeping.
pub(super) const WHITEOUT: &[u8] = b".wh.";
pub(super) const AUFS: &[u8] = b".wh..wh.";

/// Header and extension headers of one entry, in buffers that are used again for the next one.
pub(super) struct Parts {
    pub(super) header: [u8; 512],
    pub(super) pax: Option<Vec<u8>>,
    pub(super) long_name: Option<Vec<u8>>,
    pub(super) long_link: Option<Vec<u8>>,
    pub(super) sparse: Vec<Segment>,
    /// Prefix and name of a ustar header, joined.
    pub(super) joined: Vec<u8>,
}

/// How the map of a sparse file is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SparseForm {
    None,
    /// In the header, and in blocks after it.
    OldGnu,
    /// In PAX records (formats 0.0 and 0.1): read already.
    Records,
    /// In lines before the contents (format 1.0).
    Lines,
}

/// What must be known before the contents can be looked at.
#[derive(Debug)]
pub(super) struct Outline {
    /// Bytes after the header, a sparse map in front of the contents included.
    pub(super) stored: u64,
    pub(super) sparse: SparseForm,
}

/// The PAX records that matter here.
#[derive(Default)]
struct Pax<'a> {
    path: Option<&'a [u8]>,
    link: Option<&'a [u8]>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<Timestamp>,
    sparse_name: Option<&'a [u8]>,
    sparse_size: Option<u64>,
    sparse_version: (Option<u64>, Option<u64>),
    xattrs: Vec<Xattr<'a>>,
}

impl Parts {
    pub(super) fn new() -> Self {
        Self {
            header: [0; 512],
            pax: None,
            long_name: None,
            long_link: None,
            sparse: Vec::new(),
            joined: Vec::new(),
        }
    }

    /// The best name known so far, for errors.
    pub(super) fn name(&self) -> &[u8] {
        let header = Header(&self.header);
        let pax = self.pax.as_deref().unwrap_or_default();
        let named = Records(pax).filter_map(Result::ok).find(|(key, _)| *key == b"path");
        named.map(|(_, path)| path).or(self.long_name.as_deref()).unwrap_or_else(|| header.name())
    }

    /// Reads what decides how the bytes after the header are cut, and the map of a sparse file as far as it is known.
    pub(super) fn outline(&mut self, limits: &Limits) -> Result<Outline, Rule> {
        let header = Header(&self.header);
        self.sparse.clear();
        let pax = read_pax(self.pax.as_deref(), Some(&mut self.sparse), limits)?;
        let flag = header.type_flag();
        let stored = if has_contents(flag) {
            pax.size.map_or_else(|| header.size(), Ok)?
        } else {
            // Docker and Go read no contents for these whatever the header says; a PAX size is a contradiction.
            match pax.size.unwrap_or(0) {
                0 => 0,
                size => return Err(Rule::Contents(size)),
            }
        };
        let sparse = match pax.sparse_version {
            _ if flag == b'S' => {
                sparse::add_old_gnu(&mut self.sparse, header.sparse(), limits)?;
                SparseForm::OldGnu
            }
            (Some(1), Some(0)) => SparseForm::Lines,
            (None, None) | (Some(0), _) if pax.sparse_size.is_some() || !self.sparse.is_empty() => {
                SparseForm::Records
            }
            (None, None) => SparseForm::None,
            _ => return Err(Rule::Sparse("unknown version of the format")),
        };
        if sparse != SparseForm::None && !matches!(flag, b'0' | b'\0' | b'7' | b'S') {
            return Err(Rule::Sparse("on an entry that is no file"));
        }
        // A ustar name in two parts becomes one here, so that `entry` need not change anything.
        self.joined.clear();
        if !header.prefix().is_empty() {
            self.joined.extend_from_slice(header.prefix());
            self.joined.push(b'/');
            self.joined.extend_from_slice(header.name());
        }
        Ok(Outline { stored, sparse })
    }

    /// The entry. `stored` counts the contents without a map before them; the sparse map is complete.
    pub(super) fn entry(&self, form: SparseForm, stored: u64, limits: &Limits) -> Result<Entry<'_>, Rule> {
        let header = Header(&self.header);
        let pax = read_pax(self.pax.as_deref(), None, limits)?;
        let path_bytes = match pax.sparse_name {
            Some(name) => name,
            None => choose(pax.path, self.long_name.as_deref())?.unwrap_or(if self.joined.is_empty() {
                header.name()
            } else {
                &self.joined
            }),
        };
        let link = choose(pax.link, self.long_link.as_deref())?.unwrap_or_else(|| header.link_name());
        if path_bytes.is_empty() {
            return Err(Rule::Empty);
        }
        let path = RelativePath::parse(path_bytes, limits)?;

        let size = match form {
            SparseForm::None => stored,
            SparseForm::OldGnu => header.sparse_size()?,
            SparseForm::Records | SparseForm::Lines => {
                pax.sparse_size.ok_or(Rule::Sparse("without a size"))?
            }
        };
        let sparse = (form != SparseForm::None).then_some(self.sparse.as_slice());
        if let Some(map) = sparse {
            sparse::validate(map, size, stored)?;
        }
        let kind = match header.type_flag() {
            // Before POSIX, a folder was a file whose name ends with a slash.
            b'\0' if path_bytes.ends_with(b"/") => Kind::Directory,
            b'0' | b'\0' | b'7' | b'S' => Kind::File { size },
            b'1' => Kind::Hardlink { target: RelativePath::parse(present(link)?, limits)? },
            b'2' => {
                limits.path_bytes.check(link.len() as u64)?;
                if link.contains(&0) {
                    return Err(Rule::Nul);
                }
                Kind::Symlink { target: present(link)? }
            }
            b'3' => header.device().map(|(major, minor)| Kind::CharDevice { major, minor })?,
            b'4' => header.device().map(|(major, minor)| Kind::BlockDevice { major, minor })?,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            b'V' => Kind::Skip(Skip::Label),
            other => return Err(Rule::Type(char::from(other))),
        };
        let kind = whiteout(path, kind)?;
        if path.is_root() && !matches!(kind, Kind::Directory | Kind::Skip(_)) {
            return Err(Rule::Root);
        }
        let attributes = Attributes {
            mode: header.mode()?,
            uid: owner(pax.uid.map_or_else(|| header.uid(), Ok)?)?,
            gid: owner(pax.gid.map_or_else(|| header.gid(), Ok)?)?,
            mtime: match pax.mtime {
                Some(mtime) => mtime,
                None => Timestamp { seconds: header.mtime()?, nanoseconds: 0 },
            },
        };
        Ok(Entry { path, kind, attributes, xattrs: pax.xattrs, sparse, stored })
    }
}

/// Links, devices, folders and FIFOs have no contents, whatever their size field says.
const fn has_contents(flag: u8) -> bool {
    !matches!(flag, b'1'..=b'6')
}

/// PAX or GNU: they must agree where both name the same thing.
fn choose<'a>(pax: Option<&'a [u8]>, gnu: Option<&'a [u8]>) -> Result<Option<&'a [u8]>, Rule> {
    match (pax, gnu) {
        (Some(pax), Some(gnu)) if pax != gnu => Err(Rule::ConflictingNames),
        (pax, gnu) => Ok(pax.or(gnu)),
    }
}

fn present(link: &[u8]) -> Result<&[u8], Rule> {
    if link.is_empty() { Err(Rule::NoTarget) } else { Ok(link) }
}

/// 2^32-1 means "unchanged" to `chown(2)`: an entry that asks for it would stay with whoever extracts.
fn owner(id: u64) -> Result<u32, Rule> {
    u32::try_from(id).ok().filter(|&id| id != u32::MAX).ok_or(Rule::Owner(id))
}

/// Turns an entry with a whiteout's name into what it means. A folder with such a name is a folder: whiteouts are files.
fn whiteout<'a>(path: RelativePath<'a>, kind: Kind<'a>) -> Result<Kind<'a>, Rule> {
    let Some((parent, name)) = path.split_last() else { return Ok(kind) };
    let Some(hidden) = name.strip_prefix(WHITEOUT) else { return Ok(kind) };
    match kind {
        Kind::Skip(_) => Ok(kind),
        // Folders of aufs at the root stay until the end of the layer: hard links point into them.
        Kind::Directory if !name.starts_with(AUFS) || parent.is_root() => Ok(kind),
        Kind::Directory => Ok(Kind::Skip(Skip::Aufs)),
        _ if name == b".wh..wh..opq" => Ok(Kind::Opaque),
        _ if name.starts_with(AUFS) => Ok(Kind::Skip(Skip::Aufs)),
        _ if matches!(hidden, b"" | b"." | b"..") => Err(Rule::Whiteout),
        _ => Ok(Kind::Whiteout { name: hidden }),
    }
}

/// Reads the records; segments of a sparse map go to `map` where one is given.
fn read_pax<'a>(
    bytes: Option<&'a [u8]>,
    mut map: Option<&mut Vec<Segment>>,
    limits: &Limits,
) -> Result<Pax<'a>, Rule> {
    let mut pax = Pax::default();
    let mut offset = None;
    let mut xattr_bytes = 0u64;
    for record in Records(bytes.unwrap_or_default()) {
        let (key, value) = record?;
        let number = |name| decimal(value).ok_or(Rule::PaxValue(name)).map(Some);
        // An empty value takes an earlier record back (POSIX): the header's own field counts again.
        let text = (!value.is_empty()).then_some(value);
        match key {
            b"path" => pax.path = text,
            b"linkpath" => pax.link = text,
            b"size" => pax.size = text.map_or(Ok(None), |_| number("size"))?,
            b"uid" => pax.uid = text.map_or(Ok(None), |_| number("uid"))?,
            b"gid" => pax.gid = text.map_or(Ok(None), |_| number("gid"))?,
            b"mtime" => {
                pax.mtime = text.map(|text| timestamp(text).ok_or(Rule::PaxValue("mtime"))).transpose()?;
            }
            b"GNU.sparse.major" => pax.sparse_version.0 = number("GNU.sparse.major")?,
            b"GNU.sparse.minor" => pax.sparse_version.1 = number("GNU.sparse.minor")?,
            b"GNU.sparse.name" => pax.sparse_name = text,
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => pax.sparse_size = number("GNU.sparse.size")?,
            b"GNU.sparse.offset" => offset = number("GNU.sparse.offset")?,
            b"GNU.sparse.numbytes" => {
                let length = decimal(value).ok_or(Rule::PaxValue("GNU.sparse.numbytes"))?;
                let offset = offset.take().ok_or(Rule::Sparse("a length without an offset"))?;
                if let Some(map) = map.as_deref_mut() {
                    sparse::add(map, offset, length, limits)?;
                }
            }
            b"GNU.sparse.map" => {
                if let Some(map) = map.as_deref_mut() {
                    sparse::parse_list(map, value, limits)?;
                }
            }
            _ => {
                if let Some(xattr) = xattr(key, value)? {
                    xattr_bytes += (xattr.0.len() + xattr.1.len()) as u64;
                    limits.xattr_bytes.check(xattr_bytes)?;
                    pax.xattrs.push(xattr);
                }
            }
        }
    }
    sort_xattrs(&mut pax.xattrs);
    Ok(pax)
}

/// `SCHILY.xattr.NAME=bytes` (star, GNU tar, Docker) or `LIBARCHIVE.xattr.NAME=base64`, its name percent-encoded.
fn xattr<'a>(key: &'a [u8], value: &'a [u8]) -> Result<Option<Xattr<'a>>, Rule> {
    let pair: Xattr<'a> = if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
        (name.into(), value.into())
    } else if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
        let unpadded = value.split(|&byte| byte == b'=').next().unwrap_or_default();
        let decoded = STANDARD_NO_PAD.decode(unpadded).map_err(|_| Rule::PaxValue("LIBARCHIVE.xattr"))?;
        (percent_decoded(name), decoded.into())
    } else {
        return Ok(None);
    };
    match pair.0.len() {
        0 => Err(Rule::PaxValue("xattr")),
        _ if pair.0.contains(&0) => Err(Rule::Nul),
        length @ 256.. => Err(Rule::LongComponent(length)),
        _ => Ok(Some(pair)),
    }
}

/// Sorted by name; of two values for one name the later record's stays.
fn sort_xattrs(xattrs: &mut Vec<Xattr<'_>>) {
    if xattrs.len() > 1 {
        xattrs.reverse();
        // Stable: of equal names, the one that came last is first now.
        xattrs.sort_by(|a, b| a.0.cmp(&b.0));
        xattrs.dedup_by(|later, kept| later.0 == kept.0);
    }
}

fn percent_decoded(name: &[u8]) -> Cow<'_, [u8]> {
    if !name.contains(&b'%') {
        return name.into();
    }
    let mut decoded = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match escaped.filter(|_| byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                decoded.push(byte);
                rest = tail;
            }
        }
    }
    decoded.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Interprets a header with this type, name and link target, and these PAX records.
    fn entry<T>(
        flag: u8,
        name: &[u8],
        link: &[u8],
        pax: Option<&[u8]>,
        check: impl FnOnce(Entry<'_>) -> T,
    ) -> Result<T, Rule> {
        let limits = Limits::default();
        let mut parts = Parts::new();
        parts.header[..name.len()].copy_from_slice(name);
        parts.header[100..107].copy_from_slice(b"0104755");
        parts.header[124..135].copy_from_slice(b"00000000012");
        parts.header[136..147].copy_from_slice(b"00000000144");
        parts.header[156] = flag;
        parts.header[157..157 + link.len()].copy_from_slice(link);
        parts.pax = pax.map(<[u8]>::to_vec);
        let outline = parts.outline(&limits)?;
        parts.entry(outline.sparse, outline.stored, &limits).map(check)
    }

    #[test]
    fn names_and_types_decide_the_kind() {
        let kind = |flag, name: &[u8], link: &[u8]| {
            entry(flag, name, link, None, |entry| format!("{:?} {}", entry.kind, entry.stored))
        };
        type Row = (u8, &'static [u8], &'static [u8], Result<&'static str, Rule>);
        let table: [Row; 22] = [
            (b'0', b"f", b"", Ok("File { size: 10 } 10")),
            (b'7', b"./f", b"", Ok("File { size: 10 } 10")),
            (b'\0', b"f", b"", Ok("File { size: 10 } 10")),
            (b'\0', b"f/", b"", Ok("Directory 10")),
            (b'5', b"f", b"", Ok("Directory 0")),
            (b'5', b"./", b"", Ok("Directory 0")),
            (b'1', b"f", b"/./t", Ok("Hardlink { target: \"/./t\" } 0")),
            (b'1', b"f", b"../t", Err(Rule::ParentComponent)),
            (b'2', b"f", b"../t", Ok("Symlink { target: [46, 46, 47, 116] } 0")),
            (b'2', b"f", b"", Err(Rule::NoTarget)),
            (b'3', b"f", b"", Ok("CharDevice { major: 0, minor: 0 } 0")),
            (b'6', b"f", b"", Ok("Fifo 0")),
            (b'V', b"f", b"", Ok("Skip(Label) 10")),
            (b'M', b"f", b"", Err(Rule::Type('M'))),
            (b'0', b"d/.wh.x", b"", Ok("Whiteout { name: [120] } 10")),
            (b'2', b".wh.x", b"t", Ok("Whiteout { name: [120] } 0")),
            (b'0', b"d/.wh..wh..opq", b"", Ok("Opaque 10")),
            (b'0', b"d/.wh..wh.aufs", b"", Ok("Skip(Aufs) 10")),
            (b'5', b".wh.x", b"", Ok("Directory 0")),
            (b'0', b".wh...", b"", Err(Rule::Whiteout)),
            (b'0', b"/", b"", Err(Rule::Root)),
            (b'0', b"", b"", Err(Rule::Empty)),
        ];
        for (flag, name, link, expected) in table {
            let found = kind(flag, name, link);
            assert_eq!(found, expected.map(str::to_owned), "{} {}", char::from(flag), name.escape_ascii());
        }
    }

    #[test]
    fn pax_records_win_over_the_header() {
        let pax = b"8 uid=7\n10 size=3\n14 mtime=-0.5\n11 path=pp\n25 SCHILY.xattr.user.b=1\n\
            25 SCHILY.xattr.user.a=1\n25 SCHILY.xattr.user.b=2\n";
        entry(b'0', b"f", b"", Some(pax.as_slice()), |entry| {
            assert_eq!((entry.path.as_bytes(), entry.kind), (b"pp".as_slice(), Kind::File { size: 3 }));
            let mtime = Timestamp { seconds: -1, nanoseconds: 500_000_000 };
            // The type bits that some writers leave in the mode are gone.
            assert_eq!(entry.attributes, Attributes { mode: 0o4755, uid: 7, gid: 0, mtime });
            let pair = |name: &'static str, value: &'static str| -> Xattr<'static> {
                (name.as_bytes().into(), value.as_bytes().into())
            };
            assert_eq!(entry.xattrs, [pair("user.a", "1"), pair("user.b", "2")]);
        })
        .unwrap();
    }
}
