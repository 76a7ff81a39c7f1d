//! A line of strace(1)'s log -> a system call: pure.
//!
//! Strings are read as `-xx` writes them, so that no byte of a path or of a file's contents can be taken for the log's own
//! punctuation, and descriptors as `-y` does, with the path they lead to.

use std::collections::HashMap;

/// The calls that change what is on a disk, and those that tell which process did it.
pub(super) const TRACED: &str = "openat,open,creat,write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,rename,\
    renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,mkdir,mkdirat,mknod,mknodat,chmod,fchmod,fchmodat,chown,\
    fchown,lchown,fchownat,setxattr,lsetxattr,fsetxattr,removexattr,lremovexattr,fremovexattr,utimensat,copy_file_range,sendfile,\
    splice,fsync,fdatasync,syncfs,sync,execve,mount,umount2,lseek,close,clone,clone3";

/// A system call that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// The thread that made it.
    pub(super) thread: u32,
    pub(super) name: String,
    /// As they stand there.
    pub(super) arguments: Vec<String>,
    pub(super) result: String,
    /// Microseconds of the clock at its beginning and at its end.
    pub(super) began: u64,
    pub(super) ended: u64,
}

/// The calls of a log that succeeded, in the order in which they ended. Lines about signals and exits are no calls.
pub(super) fn parse(log: &str) -> Result<Vec<Call>, String> {
    let mut calls = Vec::new();
    // What a thread had begun when strace wrote down what another one did.
    let mut begun = HashMap::<&str, &str>::new();
    for line in log.lines() {
        let unreadable = || format!("strace wrote a line that can't be read: {}", shortened(line));
        let (thread, rest) = line.split_once(' ').ok_or_else(unreadable)?;
        if rest.contains("+++ ") || rest.contains("--- ") {
            continue;
        }
        if let Some(first) = line.strip_suffix(UNFINISHED) {
            begun.insert(thread, first);
            continue;
        }
        if let Some((_, second)) = line.split_once(" resumed>") {
            let first = begun.remove(thread).ok_or_else(unreadable)?;
            calls.push(call(&format!("{first}{second}")).ok_or_else(unreadable)?);
            continue;
        }
        calls.push(call(line).ok_or_else(unreadable)?);
    }
    calls.retain(|call| !call.result.starts_with(['-', '?']));
    Ok(calls)
}

/// What a line of a call ends with that is not over yet.
const UNFINISHED: &str = " <unfinished ...>";

/// The beginning and the end.
fn shortened(line: &str) -> String {
    let count = line.chars().count();
    let beginning = line.chars().take(100).chain(" ... ".chars());
    beginning.chain(line.chars().skip(100.max(count.saturating_sub(100)))).collect()
}

fn call(line: &str) -> Option<Call> {
    let (thread, rest) = line.split_once(' ')?;
    let (time, rest) = rest.trim_start().split_once(' ')?;
    let (name, rest) = rest.split_once('(')?;
    let (arguments, rest) = arguments(rest)?;
    let result = rest.trim_start().strip_prefix('=')?.trim();
    // A call that ended with its process has no time.
    let (result, took) = result.rsplit_once(" <").unwrap_or((result, "0.0>"));
    let began = microseconds(time)?;
    Some(Call {
        thread: thread.parse().ok()?,
        name: name.to_owned(),
        arguments,
        result: result.trim().to_owned(),
        began,
        ended: began + microseconds(took.strip_suffix('>')?)?,
    })
}

fn microseconds(seconds: &str) -> Option<u64> {
    let (whole, fraction) = seconds.split_once('.')?;
    Some(whole.parse::<u64>().ok()? * 1_000_000 + format!("{fraction:0<6}").get(..6)?.parse::<u64>().ok()?)
}

/// The arguments up to the closing parenthesis, and what follows it.
fn arguments(text: &str) -> Option<(Vec<String>, &str)> {
    let (mut depth, mut quoted, mut start, mut found) = (0_u32, false, 0, Vec::new());
    for (at, character) in text.char_indices() {
        match character {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '[' | '{' | '(' => depth += 1,
            ')' if depth == 0 => {
                let last = text.get(start..at)?.trim();
                if !last.is_empty() {
                    found.push(last.to_owned());
                }
                return Some((found, text.get(at + 1..)?));
            }
            ']' | '}' | ')' => depth = depth.checked_sub(1)?,
            ',' if depth == 0 => {
                found.push(text.get(start..at)?.trim().to_owned());
                start = at + 1;
            }
            _ => {}
        }
    }
    None
}

impl Call {
    /// An argument as it stands there; empty when there are fewer.
    pub(super) fn argument(&self, index: usize) -> &str {
        self.arguments.get(index).map_or("", String::as_str)
    }

    /// An argument that is a string.
    pub(super) fn string(&self, index: usize) -> Option<Vec<u8>> {
        string(self.argument(index))
    }

    /// An argument that is a number, decimal or octal, as strace writes lengths and modes.
    pub(super) fn number(&self, index: usize) -> Option<u64> {
        number(self.argument(index))
    }

    /// An argument that is a descriptor.
    pub(super) fn descriptor(&self, index: usize) -> Option<Descriptor> {
        descriptor(self.argument(index))
    }

    /// The result, as a number.
    pub(super) fn returned(&self) -> Option<u64> {
        number(self.result.split('<').next()?)
    }

    /// The buffers of `writev(2)` and its like, one after the other.
    pub(super) fn buffers(&self, index: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        for piece in self.argument(index).split("iov_base=").skip(1) {
            let (_, rest) = piece.split_once('"')?;
            let (text, _) = rest.split_once('"')?;
            bytes.extend(hexadecimal(text)?);
        }
        Some(bytes)
    }
}

/// A descriptor, and the path that it led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Descriptor {
    /// `None` is the current directory.
    pub(super) number: Option<i32>,
    pub(super) path: Vec<u8>,
}

fn descriptor(text: &str) -> Option<Descriptor> {
    let (number, path) = match text.split_once('<') {
        Some((number, path)) => (number, self::path(path)?),
        None => (text, Vec::new()),
    };
    let number = if number == "AT_FDCWD" { None } else { Some(number.parse().ok()?) };
    Some(Descriptor { number, path })
}

fn number(text: &str) -> Option<u64> {
    // `[7]` and `[7] => [9]` are offsets by address: the value before the call counts.
    let text = text.strip_prefix('[').map_or(text, |inner| inner.split(']').next().unwrap_or_default());
    match text.trim() {
        "0" => Some(0),
        octal if octal.starts_with('0') && !octal.starts_with("0x") => u64::from_str_radix(octal, 8).ok(),
        decimal => decimal.parse().ok(),
    }
}

/// The path behind a descriptor, from after its `<`.
pub(super) fn path(text: &str) -> Option<Vec<u8>> {
    hexadecimal(text.split('>').next()?)
}

/// A string; one that was cut off (`"..."...`) is none.
fn string(text: &str) -> Option<Vec<u8>> {
    hexadecimal(text.strip_prefix('"')?.strip_suffix('"')?)
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let mut pieces = text.split("\\x");
    if !pieces.next()?.is_empty() {
        return None;
    }
    pieces.map(|piece| u8::from_str_radix(piece, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_a_call() {
        let line = r#"77 10.000002 renameat2(AT_FDCWD<\x2f>, "\x61\x2c\x29", 5<\x2f\x62>, "\x62", RENAME_EXCHANGE) = 0 <0.000040>"#;
        let calls = parse(line).unwrap();
        let [call] = &calls[..] else { panic!("{calls:?}") };
        assert_eq!((call.thread, call.name.as_str(), call.arguments.len()), (77, "renameat2", 5));
        assert_eq!(call.string(1).unwrap(), b"a,)");
        assert_eq!(call.descriptor(0), Some(Descriptor { number: None, path: b"/".to_vec() }));
        assert_eq!(call.descriptor(2), Some(Descriptor { number: Some(5), path: b"/b".to_vec() }));
        assert_eq!((call.began, call.ended), (10_000_002, 10_000_042));
        assert_eq!(call.returned(), Some(0));
    }

    #[test]
    fn buffers_offsets_and_modes_are_read() {
        let line = r#"1 1.5 pwritev(3<\x2f>, [{iov_base="\x61", iov_len=1}, {iov_base="\x62\x63", iov_len=2}], 2, 7) = 3 <0.1>
1 1.6 copy_file_range(3<\x2f>, [4] => [8], 4<\x2f>, NULL, 4, 0) = 4 <0.1>
1 1.7 mkdir("\x64", 0755) = 0 <0.1>
1 +++ exited with 0 +++"#;
        let calls = parse(line).unwrap();
        assert_eq!(calls[0].buffers(1).unwrap(), b"abc");
        assert_eq!((calls[0].number(3), calls[0].ended), (Some(7), 1_600_000));
        assert_eq!((calls[1].number(1), calls[1].number(3)), (Some(4), None));
        assert_eq!(calls[2].number(1), Some(0o755));
        assert_eq!(calls.len(), 3);
    }

    #[test]
    fn a_call_that_another_came_between_is_whole_and_one_that_failed_is_none() {
        let log = r#"1 1.0 fsync(3<\x2f> <unfinished ...>
2 1.1 unlink("\x61") = -1 ENOENT (No such file or directory) <0.1>
2 1.2 unlink("\x62") = 0 <0.1>
1 1.3 <... fsync resumed>) = 0 <0.5>"#;
        let calls = parse(log).unwrap();
        let found: Vec<_> = calls.iter().map(|call| (call.name.as_str(), call.began, call.ended)).collect();
        assert_eq!(found, [("unlink", 1_200_000, 1_300_000), ("fsync", 1_000_000, 1_500_000)]);
    }

    #[test]
    fn what_was_cut_off_is_an_error() {
        assert_eq!(string(r#""\x61"..."#), None);
        assert!(parse("1 1.5 write(3<\\x2f>, \"").is_err());
    }
}
