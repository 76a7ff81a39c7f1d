use proptest::prelude::*;

use super::*;

const T1: &str = "2026-11-26T07:34:30.123456789Z";
const T2: &str = "2026-11-26T07:34:31.5Z";

fn frame(stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[stream, 0, 0, 0][..], &length, payload].concat()
}

fn stamped(stream: u8, time: &str, text: &[u8]) -> Vec<u8> {
    frame(stream, &[time.as_bytes(), b" ", text].concat())
}

fn line(at: &str, error: bool, text: &str) -> LogLine {
    LogLine { at: at.to_owned(), error, text: text.to_owned() }
}

/// Whatever the size of the pieces.
fn read(mut demux: impl FnMut() -> Demux, bytes: &[u8]) -> Result<Vec<LogLine>, String> {
    let mut all = Vec::new();
    for size in [1, 3, 7, 4096, bytes.len().max(1)] {
        let mut demux = demux();
        let mut lines = Vec::new();
        for piece in bytes.chunks(size) {
            lines.extend(demux.push(piece)?);
        }
        lines.extend(demux.end());
        all.push(lines);
    }
    assert!(all.windows(2).all(|two| two[0] == two[1]), "{all:?}");
    Ok(all.swap_remove(0))
}

#[test]
fn frames_of_both_streams() {
    let bytes = [
        stamped(1, T1, b"out\n"),
        stamped(2, T2, b"err\r\n"),
        stamped(1, T1, b"\n"),
        frame(1, b""),
        stamped(1, T2, b"two\nlines\n"),
        stamped(2, T1, b"no end"),
    ]
    .concat();
    // Of a frame with two lines the second has no time of its own.
    let expected = [
        line(T1, false, "out"),
        line(T2, true, "err"),
        line(T1, false, ""),
        line(T2, false, "two"),
        line("", false, "lines"),
        line(T1, true, "no end"),
    ];
    assert_eq!(read(Demux::logs, &bytes).unwrap(), expected);
}

#[test]
fn a_line_that_the_engine_has_cut_is_put_together_and_cut_once() {
    let half = vec![b'x'; 16 << 10];
    let bytes = [stamped(1, T1, &half), stamped(1, T2, b"rest\n"), stamped(1, T2, b"next\n")].concat();
    let lines = read(Demux::logs, &bytes).unwrap();
    assert_eq!(lines.len(), 2);
    assert_eq!((lines[0].at.as_str(), lines[0].text.len()), (T1, 16 << 10));
    assert_eq!(lines[1], line(T2, false, "next"));

    let short = [stamped(1, T1, b"one "), stamped(1, T2, b"line\n")].concat();
    assert_eq!(read(Demux::logs, &short).unwrap(), [line(T1, false, "one line")]);
}

#[test]
fn a_terminal_has_no_frames() {
    let bytes = format!("{T1} \u{1b}[1mbold\u{1b}[0m\r\n{T2} two\r\n{T2} $ ");
    let expected = [line(T1, false, "\u{1b}[1mbold\u{1b}[0m"), line(T2, false, "two"), line(T2, false, "$ ")];
    assert_eq!(read(Demux::logs, bytes.as_bytes()).unwrap(), expected);
    assert_eq!(read(Demux::logs, b"").unwrap(), []);
}

#[test]
fn a_command_has_frames_without_times() {
    let bytes = [frame(1, b"2026 is not a time\n"), frame(2, b"a"), frame(2, b"b\nc")].concat();
    let expected = [line("", false, "2026 is not a time"), line("", true, "ab"), line("", true, "c")];
    assert_eq!(read(Demux::frames, &bytes).unwrap(), expected);
}

#[test]
fn what_is_no_header_is_refused() {
    let bytes = [stamped(1, T1, b"out\n"), b"HTTP/1.1".to_vec()].concat();
    assert!(read(Demux::logs, &bytes).is_err());
}

proptest! {
    /// Bytes of any kind, in frames or not, neither panic nor grow.
    #[test]
    fn any_bytes_survive(bytes in prop::collection::vec(any::<u8>(), 0..2000), framed in any::<bool>(), size in 1_usize..100) {
        let bytes = if framed { stamped(1, T1, &bytes) } else { bytes };
        let mut demux = Demux::logs();
        let mut count = 0;
        for piece in bytes.chunks(size) {
            match demux.push(piece) {
                Ok(lines) => count += lines.len(),
                Err(_) => break,
            }
        }
        count += demux.end().len();
        prop_assert!(count <= bytes.len() + 2);
        if framed {
            prop_assert!(count >= 1);
        }
    }
}
