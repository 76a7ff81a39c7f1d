//! `.env` of the image root: parsed whole, then set.

use std::cell::Cell;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::Error;
use crate::control::{CONTROL_VARIABLE, GENERATION_VARIABLE, TRIAL_VARIABLE};
use crate::disk::{Disk as _, RealDisk};
use crate::layout::Layout;

/// Largest `.env` that is read, in bytes.
const DOTENV_BYTES: u64 = 1 << 20;

/// Bytes that all values may come to, with what `$NAME` stands for in them. Values that name values that name values grow without end.
const SUBSTITUTED_BYTES: usize = 16 << 20;

/// The supervisor's path of the extracted image, in the application's environment.
const IMAGE_ROOT_VARIABLE: &str = "DOCKERLOADER_IMAGE_ROOT";

/// What only the supervisor says. A file that set the first would make a program believe that it is on trial.
const RESERVED: [&str; 6] = [
    TRIAL_VARIABLE,
    CONTROL_VARIABLE,
    GENERATION_VARIABLE,
    IMAGE_ROOT_VARIABLE,
    "DOCKERLOADER_BINARY",
    "NOTIFY_SOCKET",
];

/// The root of the image that this program was started from, if it was.
pub(super) fn image_root() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(root) = set(IMAGE_ROOT_VARIABLE) {
        return Some(root.into());
    }
    let data_dir = set("DOCKERLOADER_DATA_DIR").unwrap_or_else(|| "/data".into());
    let layout = Layout::new(Path::new(&data_dir));
    let (digest, _) =
        layout.version_of(&std::env::current_exe().ok()?).map(|(digest, path)| (digest, path.to_owned()))?;
    Some(layout.tree(&digest))
}

/// Sets what the file says and the environment does not.
pub(super) fn load(path: &Path) -> Result<(), Error> {
    let text = match RealDisk.read(path, DOTENV_BYTES) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(Error::DotenvRead { path: path.to_owned(), source }),
    };
    let pairs = parse(&text).map_err(|Syntax { line, problem }| Error::DotenvSyntax {
        path: path.to_owned(),
        line,
        problem,
    })?;
    let wanted = additions(pairs, |name| std::env::var_os(name).is_some());
    tracing::debug!(event = "dotenv", path = %path.display(), variables = wanted.len(), "loaded .env");
    // dotenvy sets variables, which Rust code of this crate may not (`unsafe`).
    dotenvy::from_read(io::Cursor::new(quoted(&wanted))).map_err(|_| Error::DotenvSyntax {
        path: path.to_owned(),
        line: 1,
        problem: "the variables cannot be set",
    })
}

/// A line that can't be understood.
#[derive(Debug, PartialEq, Eq)]
struct Syntax {
    line: usize,
    problem: &'static str,
}

/// The variables of a file in its order.
fn parse(text: &[u8]) -> Result<Vec<(String, String)>, Syntax> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let read = Rc::new(Cell::new(0));
    let growth = Rc::new(Growth::default());
    let mut pairs = Vec::new();
    let lines = LineByLine { rest: text, read: Rc::clone(&read), growth: Rc::clone(&growth) };
    for item in dotenvy::from_read_iter(lines) {
        let (name, value) = item.map_err(|error| match error {
            dotenvy::Error::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => Syntax {
                line: read.get().max(1),
                problem: "with what their variables stand for, the values could be longer than 16 MiB",
            },
            dotenvy::Error::LineParse(logical, _) => Syntax {
                line: first_line(&logical, read.get()),
                problem: "expected NAME=value, a comment after #, or nothing; quotes must be closed, and a value with \
                          spaces needs them",
            },
            _ => Syntax { line: read.get(), problem: "the text is not UTF-8" },
        })?;
        if value.contains('\0') {
            return Err(Syntax { line: read.get(), problem: "a value cannot contain a zero byte" });
        }
        growth.note(value.len());
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// The number of the first line of a logical line (with its quoted line ends) that ended on line `last`.
fn first_line(logical: &str, last: usize) -> usize {
    let ends = logical.strip_suffix('\n').unwrap_or(logical).matches('\n').count();
    last.saturating_sub(ends).max(1)
}

/// The pairs to set: the first of each name, unless it exists or is the supervisor's.
fn additions(pairs: Vec<(String, String)>, exists: impl Fn(&OsStr) -> bool) -> Vec<(String, String)> {
    let mut wanted: Vec<(String, String)> = Vec::new();
    for (name, value) in pairs {
        if RESERVED.contains(&name.as_str()) {
            tracing::warn!(event = "dotenv", variable = name, "ignored in .env: it is the supervisor's");
        } else if !exists(OsStr::new(&name)) && wanted.iter().all(|(other, _)| *other != name) {
            wanted.push((name, value));
        }
    }
    wanted
}

/// The pairs as a `.env` in which nothing is left to interpret.
fn quoted(pairs: &[(String, String)]) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        text.push_str(name);
        text.push_str("=\"");
        for character in value.chars() {
            match character {
                '\n' => text.push_str("\\n"),
                '\\' | '"' | '$' => text.extend(['\\', character]),
                other => text.push(other),
            }
        }
        text.push_str("\"\n");
    }
    text
}

/// How long the values can become, before the parser puts values in the place of their names.
#[derive(Debug)]
struct Growth {
    /// The longest value so far: of the file, or of the environment, which has names for values too.
    longest: Cell<usize>,
    /// Bytes of all values so far, and of the entry that is being read.
    bytes: Cell<usize>,
    /// Names of values in that entry.
    names: Cell<usize>,
}

impl Default for Growth {
    fn default() -> Self {
        let longest = std::env::vars_os().map(|(_, value)| value.len()).max().unwrap_or(0);
        Self { longest: Cell::new(longest), bytes: Cell::new(0), names: Cell::new(0) }
    }
}

impl Growth {
    /// Whether the values stay within [`SUBSTITUTED_BYTES`] when the entry goes on with this line.
    fn allows(&self, line: &[u8]) -> bool {
        self.bytes.set(self.bytes.get().saturating_add(line.len()));
        // `\$` is no name.
        let mut is_escaped = false;
        let is_name = |byte: &u8| {
            let is_name = *byte == b'$' && !is_escaped;
            is_escaped = *byte == b'\\' && !is_escaped;
            is_name
        };
        let names = line.iter().copied().filter(is_name).count();
        self.names.set(self.names.get().saturating_add(names));
        self.names.get().saturating_mul(self.longest.get()).saturating_add(self.bytes.get())
            <= SUBSTITUTED_BYTES
    }

    /// An entry has ended, with a value of this length.
    fn note(&self, length: usize) {
        self.longest.set(self.longest.get().max(length));
        self.bytes.set(self.bytes.get().saturating_add(length));
        self.names.set(0);
    }
}

/// Gives one line a read, so that the count of lines is where the parser is.
struct LineByLine<'t> {
    rest: &'t [u8],
    read: Rc<Cell<usize>>,
    growth: Rc<Growth>,
}

impl Read for LineByLine<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = self.rest.iter().position(|byte| *byte == b'\n').map_or(self.rest.len(), |at| at + 1);
        let (line, rest) = self.rest.split_at(end.min(buffer.len()));
        if let Some(target) = buffer.get_mut(..line.len()) {
            target.copy_from_slice(line);
        }
        self.rest = rest;
        if !self.growth.allows(line) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if line.ends_with(b"\n") || (rest.is_empty() && !line.is_empty()) {
            self.read.set(self.read.get() + 1);
        }
        Ok(line.len())
    }
}

/// For fuzz targets: reads a file; what is set from it reads back the same.
#[cfg(feature = "fuzzing")]
pub fn fuzz(text: &[u8]) {
    // Written with quotes and escapes, values are longer: what is near the limit would be refused.
    let is_short = |pairs: &Vec<(String, String)>| {
        pairs.iter().map(|(_, value)| value.len()).sum::<usize>() <= SUBSTITUTED_BYTES / 8
    };
    if let Ok(pairs) = parse(text)
        && is_short(&pairs)
    {
        let again = parse(quoted(&pairs).as_bytes());
        assert_eq!(again.as_ref(), Ok(&pairs), "values are changed when they are set");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn quotes_comments_and_exports_are_understood() {
        let text = "\u{feff}# a comment\n\nPLAIN=1\nexport EXPORTED=2 # why\nSINGLE='a # b $X'\n\
                    DOUBLE=\"x\\ny\\\"\"\nCRLF=c\r\nEMPTY=\nTWO_LINES=\"a\nb\"\nLAST=${PLAIN}0";
        assert_eq!(
            parse(text.as_bytes()).unwrap(),
            [
                pair("PLAIN", "1"),
                pair("EXPORTED", "2"),
                pair("SINGLE", "a # b $X"),
                pair("DOUBLE", "x\ny\""),
                pair("CRLF", "c"),
                pair("EMPTY", ""),
                pair("TWO_LINES", "a\nb"),
                pair("LAST", "10"),
            ]
        );
    }

    #[test]
    fn an_error_names_its_line_and_quotes_nothing() {
        for (text, line) in [
            ("oops\n", 1),
            ("A=1\n# c\n\nB b\nC=3\n", 4),
            ("A=1\nSECRET=hunter2 hunter3\n", 2),
            ("A=1\nB='open\nC=3\n", 2),
            ("A=1\nB=\"two\nlines\" x\nC=3\n", 2),
            ("A=1\n=x", 2),
            ("A=1\nB=a\0b\n", 2),
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert_eq!(error.line, line, "{text:?}");
            assert!(!error.problem.contains("hunter"), "{error:?}");
        }
        assert_eq!(
            parse(b"A=1\nB=\xff\n").unwrap_err(),
            Syntax { line: 2, problem: "the text is not UTF-8" }
        );
    }

    #[test]
    fn values_that_name_values_do_not_grow_without_end() {
        // Each value is twice as long as the one before: the last would be of 2^60 bytes.
        let doubling = |count: usize| {
            let lines = (1..count).map(|at| format!("V{at}=$V{0}$V{0}\n", at - 1));
            format!("V0=x\n{}", lines.collect::<String>())
        };
        let error = parse(doubling(60).as_bytes()).unwrap_err();
        assert!(error.problem.contains("16 MiB") && error.line < 30, "{error:?}");
        assert_eq!(parse(doubling(10).as_bytes()).unwrap().last().unwrap().1.len(), 512);
        // At once, and one by one.
        let long = "a".repeat(100_000);
        for more in [format!("B={}\n", "$A".repeat(1000)), "B=$A\n".repeat(1000)] {
            let text = format!("A={long}\n{more}");
            assert!(parse(text.as_bytes()).unwrap_err().problem.contains("16 MiB"));
        }
    }

    #[test]
    fn what_exists_wins_and_the_first_of_two_and_the_supervisor() {
        let pairs = vec![
            pair("SET", "file"),
            pair("NEW", "first"),
            pair("NEW", "second"),
            pair("DOCKERLOADER_TRIAL", "1"),
            pair("NOTIFY_SOCKET", "/x"),
        ];
        assert_eq!(additions(pairs, |name| name == "SET"), [pair("NEW", "first")]);
    }

    proptest! {
        #[test]
        fn quoted_values_read_back_the_same(values in prop::collection::vec("[^\0]{0,20}", 1..5)) {
            let pairs: Vec<_> = values.into_iter().enumerate().map(|(n, v)| (format!("N{n}"), v)).collect();
            prop_assert_eq!(parse(quoted(&pairs).as_bytes()).unwrap(), pairs);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&text);
        }
    }
}
