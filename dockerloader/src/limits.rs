//! Every cap on untrusted input: its value and the name by which an error quotes it.

/// A named cap. An error says the name, the cap and what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The name used in errors and in the documentation.
    pub name: &'static str,
    /// The largest value that is accepted.
    pub max: u64,
}

/// A value went over its cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{found} is over the limit {}, {}", .limit.name, .limit.max)]
pub struct OverLimit {
    /// Which cap.
    pub limit: Limit,
    /// The value found; for a stream that was cut off, the count at which it was.
    pub found: u64,
}

impl Limit {
    const fn new(name: &'static str, max: u64) -> Self {
        Self { name, max }
    }

    /// `value`, if it is within the cap.
    ///
    /// # Errors
    /// [`OverLimit`] with the cap's name and the value.
    pub const fn check(self, value: u64) -> Result<u64, OverLimit> {
        if value > self.max { Err(OverLimit { limit: self, found: value }) } else { Ok(value) }
    }
}

/// All caps, with their defaults. Tests lower single ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a manifest or index (OCI distribution spec, "Pushing Manifests", asks registries for 4 MiB).
    pub manifest_bytes: Limit,
    /// Bytes of an image config.
    pub config_bytes: Limit,
    /// Bytes of a token answer.
    pub token_bytes: Limit,
    /// Bytes that are read of an error answer's body.
    pub error_bytes: Limit,
    /// Bytes of one page of a list of tags.
    pub tag_page_bytes: Limit,
    /// Tags of one repository, over all pages. Each takes up to 150 bytes of memory.
    pub tags: Limit,
    /// Entries of an image index.
    pub index_entries: Limit,
    /// Layers of an image.
    pub layers: Limit,
    /// Bytes of one compressed layer.
    pub layer_bytes: Limit,
    /// Bytes of all files of an image, extracted.
    pub tree_bytes: Limit,
    /// Names of files, folders, links and devices in an image, extracted. Each takes about 350 bytes of memory.
    pub tree_entries: Limit,
    /// Entries of one layer, extension headers counted too: large trees have two headers for each file.
    pub layer_entries: Limit,
    /// Times that a layer may grow by decompression, looked at from 64 MiB on.
    pub inflate_ratio: Limit,
    /// Bytes of a path inside an image.
    pub path_bytes: Limit,
    /// Folders above a file inside an image.
    pub path_depth: Limit,
    /// Bytes of one PAX or GNU metadata record block.
    pub pax_bytes: Limit,
    /// Bytes of all extended attributes of one entry.
    pub xattr_bytes: Limit,
    /// Base-2 logarithm of the largest zstd window, which is memory. Builders use up to 8 MiB (RFC 8878, 3.1.1.1.2, asks decoders
    /// for that much), and their older versions up to 32 MiB at their best compression; `--long` and `--ultra -21` ask for more.
    pub zstd_window_log: Limit,
    /// Segments of one sparse file.
    pub sparse_segments: Limit,
    /// Bytes of a layer's table of contents and all that follows it in the blob.
    pub table_bytes: Limit,
    /// Bytes of a table of contents, decompressed; they are read as a stream.
    pub table_inflated_bytes: Limit,
    /// Entries of a table of contents. Each takes up to 48 bytes of memory, and 64 for each old blob.
    pub table_entries: Limit,
    /// Bytes of one string in a table of contents: a path, or an extended attribute in base64.
    pub table_string_bytes: Limit,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            manifest_bytes: Limit::new("manifest-bytes", 4 << 20),
            config_bytes: Limit::new("config-bytes", 8 << 20),
            token_bytes: Limit::new("token-bytes", 64 << 10),
            error_bytes: Limit::new("error-bytes", 64 << 10),
            tag_page_bytes: Limit::new("tag-page-bytes", 4 << 20),
            tags: Limit::new("tags", 100_000),
            index_entries: Limit::new("index-entries", 1000),
            layers: Limit::new("layers", 500),
            layer_bytes: Limit::new("layer-bytes", 64 << 30),
            tree_bytes: Limit::new("tree-bytes", 128 << 30),
            tree_entries: Limit::new("tree-entries", 2_000_000),
            layer_entries: Limit::new("layer-entries", 5_000_000),
            inflate_ratio: Limit::new("inflate-ratio", 200),
            path_bytes: Limit::new("path-bytes", 4096),
            path_depth: Limit::new("path-depth", 256),
            pax_bytes: Limit::new("pax-bytes", 1 << 20),
            xattr_bytes: Limit::new("xattr-bytes", 256 << 10),
            zstd_window_log: Limit::new("zstd-window-log", 25),
            sparse_segments: Limit::new("sparse-segments", 100_000),
            table_bytes: Limit::new("table-bytes", 32 << 20),
            table_inflated_bytes: Limit::new("table-inflated-bytes", 256 << 20),
            table_entries: Limit::new("table-entries", 250_000),
            table_string_bytes: Limit::new("table-string-bytes", 128 << 10),
        }
    }
}
