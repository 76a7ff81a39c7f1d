//! Archives byte by byte, since no library writes the broken ones.

use std::io::Write as _;

/// A header's fields; sizes and checksums are right unless a test says otherwise.
#[derive(Clone)]
pub(crate) struct Header {
    pub(crate) name: Vec<u8>,
    pub(crate) flag: u8,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
    pub(crate) mtime: u64,
    pub(crate) link: Vec<u8>,
    pub(crate) device: (u32, u32),
    pub(crate) prefix: Vec<u8>,
}

impl Header {
    pub(crate) fn new(flag: u8, name: impl AsRef<[u8]>) -> Self {
        Self {
            name: name.as_ref().to_vec(),
            flag,
            mode: if flag == b'5' { 0o755 } else { 0o644 },
            uid: 0,
            gid: 0,
            size: 0,
            mtime: 1_000_000_000,
            link: Vec::new(),
            device: (0, 0),
            prefix: Vec::new(),
        }
    }

    pub(crate) fn bytes(&self) -> [u8; 512] {
        let mut block = [0; 512];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.name);
        put(100, format!("{:07o}\0", self.mode).as_bytes());
        put(108, format!("{:07o}\0", self.uid).as_bytes());
        put(116, format!("{:07o}\0", self.gid).as_bytes());
        put(124, format!("{:011o}\0", self.size).as_bytes());
        put(136, format!("{:011o}\0", self.mtime).as_bytes());
        put(156, &[self.flag]);
        put(157, &self.link);
        put(257, b"ustar\x0000");
        put(329, format!("{:07o}\0", self.device.0).as_bytes());
        put(337, format!("{:07o}\0", self.device.1).as_bytes());
        put(345, &self.prefix);
        seal(&mut block);
        block
    }
}

/// Writes the checksum.
pub(crate) fn seal(block: &mut [u8; 512]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// A layer under construction.
#[derive(Clone, Default)]
pub(crate) struct Layer(pub(crate) Vec<u8>);

impl Layer {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.extend_from_slice(bytes.as_ref());
        self
    }

    /// Contents, padded.
    pub(crate) fn body(self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.raw(bytes).raw(vec![0; bytes.len().next_multiple_of(512) - bytes.len()])
    }

    pub(crate) fn header(self, header: &Header) -> Self {
        self.raw(header.bytes())
    }

    pub(crate) fn entry(self, mut header: Header, body: impl AsRef<[u8]>) -> Self {
        header.size = body.as_ref().len() as u64;
        self.header(&header).body(body)
    }

    pub(crate) fn with(self, flag: u8, name: impl AsRef<[u8]>, change: impl FnOnce(&mut Header)) -> Self {
        let mut header = Header::new(flag, name);
        change(&mut header);
        self.header(&header)
    }

    pub(crate) fn file(self, name: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> Self {
        self.entry(Header::new(b'0', name), body)
    }

    pub(crate) fn dir(self, name: impl AsRef<[u8]>) -> Self {
        self.header(&Header::new(b'5', name))
    }

    pub(crate) fn symlink(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.with(b'2', name, |header| header.link = target.as_ref().to_vec())
    }

    pub(crate) fn hardlink(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.with(b'1', name, |header| header.link = target.as_ref().to_vec())
    }

    pub(crate) fn fifo(self, name: impl AsRef<[u8]>) -> Self {
        self.header(&Header::new(b'6', name))
    }

    pub(crate) fn device(self, flag: u8, name: impl AsRef<[u8]>, major: u32, minor: u32) -> Self {
        self.with(flag, name, |header| header.device = (major, minor))
    }

    /// An extension header: `x`, `g`, `L` or `K`.
    pub(crate) fn extension(self, flag: u8, body: impl AsRef<[u8]>) -> Self {
        self.entry(Header::new(flag, "././@PaxHeader"), body)
    }

    pub(crate) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let body: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
        self.extension(b'x', body)
    }

    /// The archive with its two zero blocks.
    pub(crate) fn end(self) -> Vec<u8> {
        self.raw([0; 1024]).0
    }
}

/// One PAX record.
pub(crate) fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(bytes, 1).unwrap()
}
