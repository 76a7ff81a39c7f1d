//! What tables of both formats say about a blob's bytes.

use super::*;

fn parse(entries: &str, tail: u64) -> Result<Table, Error> {
    let json = format!(r#"{{"version": 1, "entries": [{entries}]}}"#);
    Table::parse(json.as_bytes(), tail, &Limits::default())
}

fn digest(byte: u8) -> String {
    crate::digest::Digest::from_bytes([byte; 32]).to_string()
}

/// Borders, and which segments have names.
fn shape(table: &Table) -> Vec<(Range<u64>, bool)> {
    table.segments().map(|(range, key)| (range, key.is_some())).collect()
}

/// As containers/storage writes it: header frames and payload frames, one file in two chunks.
fn zstd(changes: &[(&str, &str)]) -> Table {
    let (one, two, three) = (digest(1), digest(2), digest(3));
    let mut text = format!(
        r#"{{"type":"dir","name":"etc/","mode":493,"modtime":"1970-01-01T00:00:00Z"}},
        {{"type":"reg","name":"a","size":10,"mode":420,"digest":"{one}","offset":100,"endOffset":130}},
        {{"type":"reg","name":"empty"}},
        {{"type":"reg","name":"b","size":2000,"digest":"{three}","offset":200,"endOffset":900,
          "chunkSize":1500,"chunkDigest":"{one}","xattrs":{{"user.x":"djA="}}}},
        {{"type":"chunk","name":"b","offset":700,"chunkSize":500,"chunkOffset":1500,"chunkDigest":"{two}"}},
        {{"type":"symlink","name":"l","linkName":"a"}}"#
    );
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    parse(&text, 1000).unwrap()
}

#[test]
fn zstd_chunked_has_headers_and_payloads_apart() {
    let found = shape(&zstd(&[]));
    let borders = [0..100, 100..130, 130..200, 200..700, 700..900, 900..1000];
    assert_eq!(found, borders.map(|range| (range, true)));
}

#[test]
fn a_change_changes_the_names_of_the_segments_that_it_is_in() {
    let before = zstd(&[]);
    let other = digest(9);
    for (from, to, changed) in [
        ("\"name\":\"etc/\"", "\"name\":\"usr/\"", &[0][..]),
        ("\"mode\":420", "\"mode\":421", &[0]),
        ("1970", "1971", &[0]),
        (&*format!("\"digest\":\"{}\"", digest(1)), &*format!("\"digest\":\"{other}\""), &[1]),
        // The size is in the header, is the payload's length, and makes its padding.
        ("\"size\":10", "\"size\":11", &[0, 1, 2]),
        ("\"empty\"", "\"hollow\"", &[2]),
        ("djA=", "djB=", &[2]),
        (&*format!("\"chunkDigest\":\"{}\"", digest(2)), &*format!("\"chunkDigest\":\"{other}\""), &[4]),
        ("\"linkName\":\"a\"", "\"linkName\":\"b\"", &[5]),
        // Another compressed length.
        ("\"endOffset\":130", "\"endOffset\":131", &[1, 2]),
        // Named in another way, and the same: what Go leaves out is zero.
        ("\"name\":\"empty\"", "\"name\":\"empty\",\"uid\":0,\"mode\":0,\"xattrs\":{},\"unknown\":[{}]", &[]),
    ] {
        let after = zstd(&[(from, to)]);
        let names = |table: &Table| {
            table.segments().map(|(range, key)| (range.end - range.start, key)).collect::<Vec<_>>()
        };
        let pairs = names(&before).into_iter().zip(names(&after)).enumerate();
        let different: Vec<usize> = pairs.filter(|(_, (a, b))| a != b).map(|(n, _)| n).collect();
        assert_eq!(different, changed, "{from} -> {to}");
    }
}

#[test]
fn the_same_contents_elsewhere_have_the_same_name() {
    let one = digest(1);
    let file = |name: &str, offset: u64| {
        format!(
            r#"{{"type":"reg","name":"{name}","size":5,"digest":"{one}","offset":{offset},"endOffset":{}}}"#,
            offset + 30
        )
    };
    let table = parse(&[file("a", 100), file("b", 200)].join(","), 300).unwrap();
    let keys: Vec<_> = table.segments().map(|(_, key)| key.unwrap()).collect();
    assert_eq!(keys[1], keys[3], "payloads");
    assert_ne!(keys[0], keys[2], "headers");
}

#[test]
fn estargz_members_go_on_to_the_next_payload() {
    let (one, two) = (digest(1), digest(2));
    let text = |second: &str| {
        format!(
            r#"{{"name":"etc/","type":"dir","mode":16877,"userName":"root"}},
            {{"name":"a","type":"reg","size":9000000,"offset":126,"chunkSize":4194304,"digest":"{two}","chunkDigest":"{one}"}},
            {{"name":"a","type":"chunk","offset":1000,"chunkOffset":4194304,"chunkSize":4194304,"chunkDigest":"{two}"}},
            {{"name":"a","type":"chunk","offset":2000,"chunkOffset":8388608,"chunkDigest":"{one}"}},
            {{"name":"b","type":"reg","size":7,"offset":3000,"digest":"{two}","chunkDigest":"{two}"{second}}},
            {{"name":"c","type":"reg","size":7,"offset":3000,"innerOffset":700,"digest":"{two}","chunkDigest":"{two}"}},
            {{"name":"d","type":"hardlink","linkName":"a"}}"#
        )
    };
    let table = parse(&text(""), 4000).unwrap();
    let borders = [0..126, 126..1000, 1000..2000, 2000..3000, 3000..4000];
    assert_eq!(shape(&table), borders.map(|range| (range, true)));
    // A name that is said again is the same name.
    assert_eq!(parse(&text(r#","userName":"root""#), 4000).unwrap(), table);
    let other = parse(&text(r#","userName":"daemon""#), 4000).unwrap();
    let names = |table: &Table| table.segments().map(|(_, key)| key).collect::<Vec<_>>();
    assert_eq!(names(&other)[..3], names(&table)[..3]);
    assert_ne!(names(&other)[3], names(&table)[3], "the header of b is in the last member of a");
}

#[test]
fn without_a_digest_nothing_is_known() {
    let text = r#"{"type":"reg","name":"a","size":5,"offset":100,"endOffset":130}"#;
    let table = parse(text, 200).unwrap();
    assert_eq!(shape(&table), [(0..100, true), (100..130, false), (130..200, true)]);
    let wrong = r#"{"type":"reg","name":"a","size":5,"digest":"md5:1","offset":100,"endOffset":130}"#;
    assert_eq!(shape(&parse(wrong, 200).unwrap()), shape(&table));
}

#[test]
fn tables_that_cannot_be_are_refused() {
    let one = digest(1);
    let reg = |more: &str| format!(r#"{{"type":"reg","name":"a","size":5,"digest":"{one}"{more}}}"#);
    for (entries, words) in [
        (reg(r#","offset":201,"endOffset":202"#), "offset is 201"),
        (reg(r#","offset":18446744073709551615"#), "offset"),
        (reg(r#","offset":100,"endOffset":99"#), "offset is 99"),
        (
            [reg(r#","offset":100,"endOffset":150"#), reg(r#","offset":120,"endOffset":190"#)].join(","),
            "offset is 120",
        ),
        (reg(r#","offset":-1"#), "invalid value"),
        (reg(r#","offset":"1""#), "invalid type"),
        (reg(","), "malformed"),
        ("7".to_owned(), "malformed"),
        ("[".repeat(1000), "malformed"),
    ] {
        let error = parse(&entries, 200).unwrap_err();
        assert!(error.to_string().contains(words), "{entries}: {error}");
    }
    for text in ["", "{}", "[]", r#"{"version":2,"entries":[]}"#, r#"{"entries":7}"#, r#"{"entries":[]} x"#] {
        assert!(Table::parse(text.as_bytes(), 10, &Limits::default()).is_err(), "{text}");
    }
    assert_eq!(shape(&parse("", 10).unwrap()), [(0..10, true)]);
}

#[test]
fn tables_over_a_limit_are_refused() {
    let mut limits = Limits::default();
    limits.table_entries.max = 2;
    limits.table_string_bytes.max = 10;
    for (entries, fits) in [
        (r#"{"type":"dir"},{"type":"dir"}"#, true),
        (r#"{"type":"dir"},{"type":"dir"},{"type":"dir"}"#, false),
        (r#"{"name":"0123456789"}"#, true),
        (r#"{"name":"0123456789a"}"#, false),
        (r#"{"unknown":"0123456789a"}"#, false),
    ] {
        let json = format!(r#"{{"version":1,"entries":[{entries}]}}"#);
        assert_eq!(Table::parse(json.as_bytes(), 10, &limits).is_ok(), fits, "{entries}");
    }
}
