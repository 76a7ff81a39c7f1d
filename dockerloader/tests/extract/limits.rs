//! Every cap is enforced, by its name, before what it guards against is allocated or written.

use dockerloader::limits::Limits;
use dockerloader::tree::{Error, Rule};

use crate::sandbox::Sandbox;
use fixtures::archive::{Archive as Layer, Header, record};
use fixtures::image::zstd;

/// The name of the cap that stopped the extraction.
fn limit(layer: &[u8], lower: impl Fn(&mut Limits)) -> &'static str {
    let mut limits = Limits::default();
    lower(&mut limits);
    match Sandbox::new().extract_within(&[layer.to_vec()], limits) {
        Err(Error::Refused(refusal)) => match refusal.rule {
            Rule::Limit(over) => over.limit.name,
            other => panic!("{other}"),
        },
        Err(Error::Limit(over)) => over.limit.name,
        other => panic!("not over any limit: {other:?}"),
    }
}

#[test]
fn entries_bytes_and_paths_are_capped() {
    let three = Layer::new().file("a", "").file("b", "").file("c", "").end();
    assert_eq!(limit(&three, |limits| limits.layer_entries.max = 2), "layer-entries");
    Sandbox::new().extract(&[three]).unwrap();

    // Only the announcement is there, no contents: it is refused before they are missed.
    let mut huge = Header::new(b'0', "f");
    huge.size = 1 << 32;
    assert_eq!(limit(&Layer::new().header(&huge).0, |limits| limits.tree_bytes.max = 1 << 31), "tree-bytes");
    let two = Layer::new().file("a", "12345").file("b", "12345").end();
    assert_eq!(limit(&two, |limits| limits.tree_bytes.max = 9), "tree-bytes");

    let long = Layer::new().pax(&[("path", "p/".repeat(3000).as_bytes())]).file("f", "").end();
    assert_eq!(limit(&long, |_| ()), "path-bytes");
    let target = Layer::new().pax(&[("linkpath", "p/".repeat(3000).as_bytes())]).symlink("f", "").end();
    assert_eq!(limit(&target, |_| ()), "path-bytes");
    let deep = Layer::new().pax(&[("path", "p/".repeat(300).as_bytes())]).file("f", "").end();
    assert_eq!(limit(&deep, |_| ()), "path-depth");
}

#[test]
fn the_names_of_a_tree_are_counted_over_all_layers() {
    let limited = |layers: &[Vec<u8>], max| {
        let mut limits = Limits::default();
        limits.tree_entries.max = max;
        match Sandbox::new().extract_within(layers, limits) {
            Err(Error::Refused(refusal)) => match refusal.rule {
                Rule::Limit(over) => Some((over.limit.name, over.found)),
                other => panic!("{other}"),
            },
            other => other.map(|_| None).unwrap(),
        }
    };
    // Six names, of which the folder above is implied.
    let lower = Layer::new().file("d/f", "").hardlink("d/g", "d/f").end();
    let upper = Layer::new().symlink("l", "d").fifo("p").dir("e").end();
    let both = [lower.clone(), upper];
    assert_eq!((limited(&both, 6), limited(&both, 5)), (None, Some(("tree-entries", 6))));
    // What is replaced or removed does not count any more.
    let again = Layer::new().file("d/f", "").hardlink("d/g", "d/f").end();
    let without = Layer::new().file(".wh.d", "").file("a", "").file("b", "").file("c", "").end();
    assert_eq!((limited(&[lower.clone(), again], 3), limited(&[lower, without], 3)), (None, None));
    let deep = [Layer::new().file("a/b/c/d", "").end()];
    assert_eq!((limited(&deep, 4), limited(&deep, 3)), (None, Some(("tree-entries", 4))));
}

#[test]
fn links_do_not_lead_deeper_than_paths() {
    let mut layer = Layer::new().pax(&[("path", "d/".repeat(200).as_bytes())]).dir("x");
    layer = layer.pax(&[("linkpath", "d/".repeat(200).as_bytes())]).symlink("s", "");
    let layer = layer.pax(&[("path", format!("s/{}", "e/".repeat(100)).as_bytes())]).dir("x").end();
    assert_eq!(limit(&layer, |_| ()), "path-depth");
}

#[test]
fn metadata_is_capped_before_it_is_read() {
    let mut huge = Header::new(b'x', "././@PaxHeader");
    huge.size = 8 << 30;
    for flag in b"xgLK" {
        huge.flag = *flag;
        assert_eq!(limit(&Layer::new().header(&huge).0, |_| ()), "pax-bytes");
    }
    let flood = (0..10).flat_map(|at| record(&format!("SCHILY.xattr.user.{at}"), &[0; 32 << 10]));
    let layer = Layer::new().extension(b'x', flood.collect::<Vec<u8>>()).file("f", "").end();
    assert_eq!(limit(&layer, |_| ()), "xattr-bytes");
}

#[test]
fn sparse_maps_are_capped_and_count_their_holes() {
    let list = vec!["1,0"; 200].join(",");
    let map = |size: &[u8]| {
        let records = [("GNU.sparse.map", list.as_bytes()), ("GNU.sparse.size", size)];
        Layer::new().pax(&records).file("f", "").end()
    };
    assert_eq!(limit(&map(b"9"), |limits| limits.sparse_segments.max = 199), "sparse-segments");
    assert_eq!(limit(&map(b"1152921504606846976"), |_| ()), "tree-bytes");
    let lines = "1000000\n".to_owned() + &"0\n".repeat(252);
    let records: [(&str, &[u8]); 3] =
        [("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"9")];
    assert_eq!(limit(&Layer::new().pax(&records).file("f", lines).end(), |_| ()), "sparse-segments");
}

#[test]
fn bombs_are_capped_by_ratio() {
    let mut header = Header::new(b'0', "zeros");
    header.size = 100 << 20;
    let bomb = Layer::new().header(&header).raw(vec![0; 100 << 20]).end();
    let mut best = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut best, &bomb).unwrap();
    assert_eq!(limit(&best.finish().unwrap(), |_| ()), "inflate-ratio");
    assert_eq!(limit(&zstd(&bomb), |_| ()), "inflate-ratio");
    // Plain, it is what it is.
    Sandbox::new().extract(&[bomb]).unwrap();
}
