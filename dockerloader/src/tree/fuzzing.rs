//! Ways for fuzz targets to what no interface leads to.

use crate::limits::Limits;

use super::archive::Archive;
use super::decompress::Decompress;
use super::encoding;
use super::entry::Kind;
use super::path::RelativePath;

/// Reads the entries of an archive, their contents every other time, and checks what the rest of the extraction relies on.
pub fn archive(bytes: &[u8]) {
    let limits = Limits::default();
    let mut archive = Archive::new(bytes, &limits);
    let mut number = 0_usize;
    while let Ok(Some((entry, mut body))) = archive.next() {
        number += 1;
        assert!(number <= bytes.len() / 512, "more entries than headers fit");
        assert!(entry.path.components().all(is_plain), "{:?}", entry.path);
        assert!(entry.xattrs.is_sorted_by(|a, b| a.0 < b.0), "attributes are neither sorted nor unique");
        assert!(entry.attributes.uid != u32::MAX && entry.attributes.gid != u32::MAX);
        assert!(entry.attributes.mode <= 0o7777 && entry.attributes.mtime.nanoseconds < 1_000_000_000);
        match entry.kind {
            Kind::Hardlink { target } => assert!(target.components().all(is_plain), "{target:?}"),
            Kind::Whiteout { name } => assert!(is_plain(name) && !name.contains(&b'/')),
            Kind::File { size } => {
                let mut end = 0;
                for segment in entry.sparse.into_iter().flatten() {
                    assert!(segment.offset >= end, "a sparse map goes backwards");
                    end = segment.offset + segment.length;
                }
                assert!(end <= size && (entry.sparse.is_some() || entry.stored == size));
            }
            _ => {}
        }
        if number.is_multiple_of(2) {
            let mut read = 0;
            let stored = entry.stored;
            let end = body.read(u64::MAX, |slice| {
                read += slice.len() as u64;
                Ok(())
            });
            assert!(end.is_err() || read == stored, "contents are cut wrongly");
        }
    }
}

fn is_plain(component: &[u8]) -> bool {
    !matches!(component, b"" | b"." | b"..") && component.len() <= 255 && !component.contains(&0)
}

/// Reads a path, and walks it from its end.
pub fn path(bytes: &[u8]) {
    let Ok(path) = RelativePath::parse(bytes, &Limits::default()) else { return };
    let mut rest = path;
    let mut count = 0;
    while let Some((parent, name)) = rest.split_last() {
        assert!(is_plain(name));
        rest = parent;
        count += 1;
    }
    assert_eq!(count, path.components().count());
}

/// Decompresses a layer's blob up to some MiB.
pub fn decompress(bytes: &[u8]) {
    let Ok(mut stream) = Decompress::new(bytes, &Limits::default()) else { return };
    let mut buffer = vec![0; 64 << 10];
    for _ in 0..64 {
        match stream.fill(&mut buffer) {
            Ok(count) if count == buffer.len() => {}
            _ => return,
        }
    }
}

/// Ends stored bytes with the right checksum, so that what is behind it is read.
pub(crate) fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = blake3::hash(&bytes);
    bytes.extend_from_slice(checksum.as_bytes());
    debug_assert_eq!(encoding::checksum(&bytes), *checksum.as_bytes());
    bytes
}
