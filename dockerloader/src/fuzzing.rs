//! What the fuzz targets of the repository call. Each function takes bytes that nobody trusts, and panics when something that
//! the rest of the program relies on does not hold.

use std::path::Path;

use crate::digest::Digest;
use crate::launch::Launch;
use crate::layout::Layout;
use crate::limits::Limits;
use crate::manifest::{self, Document, ImageConfig, Platform};
use crate::pull::resolved::Resolved;
use crate::reference::Reference;
use crate::slots::Memory;
use crate::tree::{LayerIndex, Seal, Stamps};
use crate::volume;

pub use crate::app::dotenv::fuzz as dotenv;
pub use crate::registry::fuzzing::{challenge, token};
pub use crate::tree::fuzzing::{archive, decompress, path};

/// A reference, and the digest that may be in it.
pub fn reference(text: &str) {
    let _ = text.parse::<Digest>();
    let Ok(reference) = text.parse::<Reference>() else { return };
    let parts = [reference.registry(), reference.repository(), reference.tag().unwrap_or_default()];
    for part in parts {
        assert!(!part.contains("..") || part.split('/').all(|name| name != ".." && name != "."), "{part:?}");
        assert!(part.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#%\\@".contains(&byte)), "{part:?}");
    }
}

/// A manifest or index, whatever the registry says it is, and the choice of a platform.
pub fn manifest(bytes: &[u8], content_type: Option<&str>) {
    let limits = Limits::default();
    match manifest::parse(bytes, content_type, &limits) {
        Ok(Document::Index(index)) => {
            assert!(index.manifests.len() as u64 <= limits.index_entries.max);
            let _ = manifest::platform::choose(&index, &Platform::new("linux", "arm64", "v8"));
        }
        Ok(Document::Image(image)) => {
            assert!(image.layers.len() as u64 <= limits.layers.max);
            for layer in &image.layers {
                assert!(layer.descriptor.size <= limits.layer_bytes.max);
                assert!(layer.descriptor.urls.iter().all(|url| url.starts_with("http")));
            }
        }
        Err(error) => {
            assert!(error.to_string().len() < 4096, "an error of {} bytes", error.to_string().len())
        }
    }
}

/// An image's config.
pub fn config(bytes: &[u8]) {
    if let Ok(config) = ImageConfig::parse(bytes, &Limits::default()) {
        let _ = (config.argv(), config.check_platform(&Platform::current()));
    }
}

/// A table of contents of a layer.
pub fn table(bytes: &[u8]) {
    let limits = Limits::default();
    let Ok(table) = crate::chunked::Table::parse(bytes, 1 << 30, &limits) else { return };
    let mut end = 0;
    for (range, _) in table.segments() {
        assert_eq!(range.start, end, "a gap or an overlap");
        end = range.end;
    }
    assert_eq!(end, table.tail());
}

/// A file of the store: `kind` chooses which.
pub fn state(kind: u8, bytes: &[u8]) {
    let sealed = || crate::tree::fuzzing::sealed(bytes.to_vec());
    match kind % 8 {
        0 => {
            if let Ok(memory) = Memory::parse(bytes) {
                // What can't be written reads as something else.
                let text = serde_json::to_vec(&memory).unwrap_or_default();
                assert_eq!(Memory::parse(&text).as_ref(), Ok(&memory));
            }
        }
        1 => {
            if let Ok(launch) = Launch::parse(bytes) {
                assert!(
                    !launch.program.starts_with('/') && !launch.program.split('/').any(|part| part == "..")
                );
            }
        }
        2 => drop(serde_json::from_slice::<Resolved>(bytes)),
        3 => drop(serde_json::from_slice::<volume::Memory>(bytes)),
        4 => {
            if let Ok(stack) = volume::overlay::Stack::parse(bytes) {
                assert!(
                    stack.frozen().iter().all(|frozen| !frozen.name.contains('/') && frozen.name != "..")
                );
            }
        }
        5 => {
            if let Ok(seal) = Seal::parse(sealed()) {
                assert!(!seal.is_empty());
                let _ = Stamps::parse(seal.as_bytes().to_vec(), &seal);
            }
        }
        6 => {
            if let Ok(index) = LayerIndex::parse(sealed()) {
                let _ = (index.diff_id(), index.len());
            }
        }
        _ => {
            let layout = Layout::new(Path::new("/data"));
            let name = String::from_utf8_lossy(bytes);
            let _ = layout.version_of(Path::new(&*name));
        }
    }
}
