//! Archives that are damaged, contradictory, or made so that readers disagree.

use std::io::Read;

use dockerloader::limits::Limits;
use dockerloader::remedy::Remedy;
use dockerloader::tree::{Error, Extraction, Rule, WarningKind};
use sha2::Digest as _;

use crate::sandbox::{Sandbox, each_compression, refused};
use fixtures::archive::{Archive as Layer, Header, record, seal};
use fixtures::image::{gzip, zstd};

#[test]
fn the_size_in_pax_is_the_size() {
    // The header says 0: a reader that believes it takes the contents for the next header.
    let inner = Layer::new().file("smuggled", "x").0;
    let size = inner.len().to_string();
    let header = Header::new(b'0', "outer");
    let layer = Layer::new().pax(&[("size", size.as_bytes())]).header(&header).body(&inner).file("after", "");
    let mut lying = Header::new(b'0', "short");
    lying.size = 5000;
    let layer = layer.pax(&[("size", b"3")]).header(&lying).body("abc").file("last", "");
    each_compression(&[layer.end()], |sandbox, result| {
        result.unwrap();
        assert_eq!(sandbox.paths(), ["after", "last", "outer", "short"]);
        assert_eq!(sandbox.read("short"), "abc");
    });
}

#[test]
fn contents_of_what_has_none_are_refused_in_pax_and_ignored_in_the_header() {
    for flag in b"123456" {
        let mut header = Header::new(*flag, "x");
        header.link = b"f".to_vec();
        header.device = (1, 3);
        let base = || Layer::new().file("f", "");
        let layer = base().pax(&[("size", b"512")]).header(&header).body("x");
        assert_eq!(refused(&[layer.end()]), Rule::Contents(512), "{}", char::from(*flag));
    }
    let mut header = Header::new(b'5', "d");
    header.size = 4096;
    let sandbox = Sandbox::new();
    sandbox.extract(&[Layer::new().header(&header).file("d/f", "").end()]).unwrap();
    assert_eq!(sandbox.paths(), ["d", "d/f"]);
}

#[test]
fn extension_headers_that_contradict_are_refused() {
    let long = |layer: Layer, flag| layer.extension(flag, "name\0");
    let pax = |layer: Layer| layer.pax(&[("path", b"other")]);
    let file = |layer: Layer| layer.file("f", "").end();
    assert_eq!(refused(&[file(pax(long(Layer::new(), b'L')))]), Rule::ConflictingNames);
    assert_eq!(refused(&[file(pax(pax(Layer::new())))]), Rule::DuplicateExtension('x'));
    assert_eq!(refused(&[file(long(long(Layer::new(), b'L'), b'L'))]), Rule::DuplicateExtension('L'));
    assert_eq!(refused(&[file(long(long(Layer::new(), b'K'), b'K'))]), Rule::DuplicateExtension('K'));
    assert_eq!(refused(&[pax(Layer::new()).end()]), Rule::Orphan);
    assert_eq!(refused(&[pax(Layer::new()).0]), Rule::Orphan);
    for key in ["path", "linkpath", "size", "uid", "GNU.sparse.size"] {
        let layer = Layer::new().extension(b'g', record(key, b"1"));
        assert_eq!(refused(&[file(layer)]), Rule::GlobalPax(key.to_owned()));
    }
    let same = Layer::new().extension(b'L', "name\0").pax(&[("path", b"name")]).file("f", "");
    let comment = same.extension(b'g', record("comment", b"0af9")).file("g", "");
    let sandbox = Sandbox::new();
    sandbox.extract(&[comment.end()]).unwrap();
    assert_eq!(sandbox.paths(), ["g", "name"]);
}

#[test]
fn malformed_records_and_values_are_refused() {
    for body in [
        "path=x\n",
        "0 path=x\n",
        "99 path=x\n",
        "8 path=x\n",
        "6 path\n",
        "x path=x\n",
        "4 =\n",
        "9 path=x\n\0",
    ] {
        assert_eq!(refused(&[Layer::new().extension(b'x', body).file("f", "").end()]), Rule::Pax, "{body:?}");
    }
    let value = |key, value: &[u8]| refused(&[Layer::new().pax(&[(key, value)]).file("f", "").end()]);
    assert_eq!(value("size", b"-1"), Rule::PaxValue("size"));
    assert_eq!(value("size", b"99999999999999999999"), Rule::PaxValue("size"));
    assert_eq!(value("uid", b"-1"), Rule::PaxValue("uid"));
    assert_eq!(value("uid", b"4294967295"), Rule::Owner(4_294_967_295));
    assert_eq!(value("gid", b"8589934592"), Rule::Owner(8_589_934_592));
    assert_eq!(value("mtime", b"nan"), Rule::PaxValue("mtime"));
    assert_eq!(value("path", b"a\0b"), Rule::Nul);
    assert_eq!(value("LIBARCHIVE.xattr.user.x", b"?"), Rule::PaxValue("LIBARCHIVE.xattr"));
    assert_eq!(value("SCHILY.xattr.", b"x"), Rule::PaxValue("xattr"));
    let empty = Layer::new().pax(&[("path", b"x"), ("path", b"")]).file("kept", "").end();
    let sandbox = Sandbox::new();
    sandbox.extract(&[empty]).unwrap();
    assert_eq!(sandbox.paths(), ["kept"]);
}

#[test]
fn malformed_headers_are_refused() {
    let broken = |at: usize, bytes: &[u8]| {
        let mut block = Header::new(b'0', "f").bytes();
        block[at..at + bytes.len()].copy_from_slice(bytes);
        if at != 148 {
            seal(&mut block);
        }
        refused(&[Layer::new().raw(block).end()])
    };
    assert_eq!(broken(148, b"0000000\0"), Rule::Checksum);
    assert_eq!(broken(124, b"-0000000001\0"), Rule::Number("size"));
    assert_eq!(broken(124, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), Rule::Number("size"));
    assert_eq!(broken(124, b"\x80\0\0\0\x80\0\0\0\0\0\0\0"), Rule::Number("size"));
    assert_eq!(broken(108, b"99999999"), Rule::Number("uid"));
    for flag in b"MDNXZ\x7f\xff" {
        assert_eq!(broken(156, &[*flag]), Rule::Type(char::from(*flag)));
    }
}

#[test]
fn the_end_may_be_short_or_long() {
    let one = Layer::new().file("f", "contents").0;
    let full = Layer(one.clone()).end();
    let padded = Layer(full.clone()).raw(vec![0; 10240]).0;
    for archive in [one.clone(), Layer(one.clone()).raw([0; 512]).0, full.clone(), padded] {
        each_compression(&[archive], |sandbox, result| {
            assert_eq!(result.unwrap().warnings, []);
            assert_eq!(sandbox.paths(), ["f"]);
        });
    }
    let second = Layer(full).file("ignored", "x").end();
    let sandbox = Sandbox::new();
    let extracted = sandbox.extract(&[second]).unwrap();
    assert_eq!(
        (sandbox.paths(), extracted.warnings[0].kind),
        (vec!["f".to_owned()], WarningKind::TrailingData)
    );
    assert_eq!(refused(&[Layer(one).raw([0; 512]).file("g", "").end()]), Rule::SingleZeroBlock);
    assert_eq!(Sandbox::new().extract(&[Vec::new()]).unwrap().entries, 1);
}

#[test]
fn truncation_is_noticed_anywhere() {
    let archive = Layer::new().pax(&[("path", b"long")]).file("f", "x".repeat(1000)).0;
    // At 512-byte steps that end between entries, a plain archive is complete.
    for cut in (1..archive.len()).step_by(39).filter(|cut| *cut != 1024) {
        let result = Sandbox::new().extract(&[archive[..cut].to_vec()]);
        assert!(matches!(result, Err(Error::Truncated(_))), "cut at {cut}: {result:?}");
    }
    for compressed in [gzip(&archive), zstd(&archive)] {
        for cut in (7..compressed.len()).step_by(5) {
            let error = Sandbox::new().extract(&[compressed[..cut].to_vec()]).unwrap_err();
            assert_eq!(error.remedy(), Remedy::Corrupt, "cut at {cut}: {error}");
        }
    }
}

#[test]
fn damaged_streams_are_corrupt_not_refused() {
    let archive = Layer::new().file("f", "x".repeat(1000)).end();
    let mut wrong = gzip(&archive);
    let crc = wrong.len() - 6;
    wrong[crc] ^= 1;
    let mut trailing = gzip(&archive);
    trailing.extend_from_slice(b"garbage after the end");
    for layer in [wrong, trailing] {
        let error = Sandbox::new().extract(&[layer]).unwrap_err();
        assert!(matches!(error, Error::Damaged { format: "gzip", .. }), "{error}");
    }
    let (one, two) = archive.split_at(700);
    for layer in [[gzip(one), gzip(two)].concat(), [zstd(one), zstd(two)].concat()] {
        let sandbox = Sandbox::new();
        sandbox.extract(&[layer]).unwrap();
        assert_eq!(sandbox.read("f").len(), 1000);
    }
}

#[test]
fn the_uncompressed_bytes_are_checked_against_the_config() {
    let archive = Layer::new().file("f", "f").raw([0; 4096]).end();
    let right: [u8; 32] = sha2::Sha256::digest(&archive).into();
    let right = dockerloader::digest::Digest::from_bytes(right);
    let wrong = dockerloader::digest::Digest::from_bytes([7; 32]);
    for layer in [archive.clone(), gzip(&archive), zstd(&archive)] {
        let sandbox = Sandbox::new();
        let mut extraction = Extraction::new(&sandbox.root, Limits::default(), |_| ()).unwrap();
        extraction.apply(layer.as_slice(), Some(&right)).unwrap();
        match extraction.apply(layer.as_slice(), Some(&wrong)) {
            Err(error @ Error::DiffId { expected, found }) => {
                assert_eq!((expected, found, error.remedy()), (wrong, right, Remedy::Corrupt));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn sparse_maps_that_lie_are_refused() {
    let map = |map: &str, size: &str, stored: &str| {
        let records = [("GNU.sparse.map", map.as_bytes()), ("GNU.sparse.size", size.as_bytes())];
        refused(&[Layer::new().pax(&records).file("f", stored).end()])
    };
    for (list, size, stored) in [
        ("0,4", "4", "12345"),
        ("0,4,2,4", "10", "12345678"),
        ("8,4", "10", "1234"),
        ("18446744073709551615,4", "10", "1234"),
        ("4", "10", "1234"),
        ("a,b", "10", "1234"),
    ] {
        assert!(matches!(map(list, size, stored), Rule::Sparse(_)), "{list}");
    }
    let version = |major: &[u8], body: &[u8]| {
        let records =
            [("GNU.sparse.major", major), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"9")];
        refused(&[Layer::new().pax(&records).file("f", body).end()])
    };
    assert!(matches!(version(b"2", b""), Rule::Sparse(_)));
    assert!(matches!(version(b"1", b"1\n0\n1\n"), Rule::Sparse(_)));
    assert!(matches!(version(b"1", &[b'9'; 512]), Rule::Sparse(_)));
    let mut endless = Header::new(b'S', "f").bytes();
    endless[482] = 1;
    seal(&mut endless);
    let mut empty = [0; 512];
    empty[504] = 1;
    assert!(matches!(refused(&[Layer::new().raw(endless).raw(empty).raw(empty).end()]), Rule::Sparse(_)));
}

#[test]
fn the_readers_error_is_the_callers() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("reset"))
        }
    }
    let sandbox = Sandbox::new();
    let mut extraction = Extraction::new(&sandbox.root, Limits::default(), |_| ()).unwrap();
    let start = Layer::new().file("f", "f").0;
    extraction.apply(start.as_slice(), None).unwrap();
    let error = extraction.apply(start.as_slice().chain(Broken), None).unwrap_err();
    assert!(matches!(&error, Error::Read(inner) if inner.to_string() == "reset"), "{error}");
    assert_eq!(error.remedy(), Remedy::Retry);
    let again = Extraction::new(&sandbox.root, Limits::default(), |_| ());
    assert!(matches!(again, Err(Error::NotEmpty)));
}
