//! The first bytes of a program -> what the kernel would do with them (`execve(2)`). Pure.

/// What a program is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Format {
    /// An ELF executable.
    Elf {
        /// `e_machine`, read in the file's own byte order.
        machine: u16,
        /// The file's byte order is little-endian.
        little: bool,
        /// `PT_INTERP`: the loader of a dynamically linked program.
        interpreter: Option<String>,
    },
    /// A script.
    Script {
        /// After `#!`, up to white space.
        interpreter: String,
    },
    /// Neither.
    Unknown,
}

/// How many bytes of a program [`Format::read`] looks at.
pub(super) const HEAD: u64 = 64 << 10;

/// What the kernel reads of a script's first line (`BINPRM_BUF_SIZE`).
const FIRST_LINE: usize = 256;

const PT_INTERP: u32 = 3;

impl Format {
    pub(super) fn read(head: &[u8]) -> Self {
        if let Some(rest) = head.strip_prefix(b"#!") {
            return script(rest);
        }
        elf(head).unwrap_or(Self::Unknown)
    }
}

fn script(rest: &[u8]) -> Format {
    let line = rest.get(..FIRST_LINE - 2).unwrap_or(rest);
    let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\t' | b'\0')).filter(|word| !word.is_empty());
    match words.next() {
        Some(word) => Format::Script { interpreter: String::from_utf8_lossy(word).into_owned() },
        None => Format::Unknown,
    }
}

/// ELF header and program headers (System V ABI, chapters 4 and 5).
fn elf(head: &[u8]) -> Option<Format> {
    let identity = head.get(..16).filter(|identity| identity.starts_with(b"\x7fELF"))?;
    let wide = *identity.get(4)? == 2;
    let little = *identity.get(5)? == 1;
    let reader = Reader { bytes: head, little };
    let machine = reader.number(18, 2).and_then(|number| u16::try_from(number).ok())?;
    let interpreter = reader.interpreter(wide);
    Some(Format::Elf { machine, little, interpreter })
}

struct Reader<'b> {
    bytes: &'b [u8],
    little: bool,
}

impl Reader<'_> {
    fn number(&self, at: u64, length: usize) -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        let bytes = self.bytes.get(at..at.checked_add(length)?)?;
        let fold = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if self.little { bytes.iter().rev().fold(0, fold) } else { bytes.iter().fold(0, fold) })
    }

    fn interpreter(&self, wide: bool) -> Option<String> {
        let (table, size, count) = if wide {
            (self.number(32, 8)?, self.number(54, 2)?, self.number(56, 2)?)
        } else {
            (self.number(28, 4)?, self.number(42, 2)?, self.number(44, 2)?)
        };
        let header = (0..count)
            .filter_map(|number| table.checked_add(number * size))
            .find(|&header| self.number(header, 4) == Some(u64::from(PT_INTERP)))?;
        let (offset, length) = if wide {
            (self.number(header + 8, 8)?, self.number(header + 32, 8)?)
        } else {
            (self.number(header + 4, 4)?, self.number(header + 16, 4)?)
        };
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(length).ok()?)?;
        let path = self.bytes.get(start..end)?.split(|&byte| byte == 0).next()?;
        Some(String::from_utf8_lossy(path).into_owned())
    }
}

/// The machines whose programs run on an architecture (`GOARCH`), by `e_machine` and byte order; `None` for an
/// architecture that isn't known here, which every program then passes.
pub(super) fn machines(architecture: &str) -> Option<&'static [(u16, bool)]> {
    Some(match architecture {
        // 64-bit kernels run 32-bit programs as a rule.
        "amd64" => &[(62, true), (3, true)],
        "386" => &[(3, true)],
        "arm64" => &[(183, true), (40, true)],
        "arm" => &[(40, true)],
        "riscv64" => &[(243, true)],
        "ppc64le" => &[(21, true)],
        "ppc64" => &[(21, false)],
        "s390x" => &[(22, false)],
        "loong64" => &[(258, true)],
        _ => return None,
    })
}

/// A machine's name for an error.
pub(super) fn machine_name(machine: u16, little: bool) -> String {
    let name = match (machine, little) {
        (62, true) => "amd64",
        (3, true) => "386",
        (183, true) => "arm64",
        (40, true) => "arm",
        (243, true) => "riscv64",
        (21, true) => "ppc64le",
        (21, false) => "ppc64",
        (22, false) => "s390x",
        (258, true) => "loong64",
        _ => return format!("the machine with ELF number {machine}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_told_apart_by_their_first_bytes() {
        let script = |interpreter: &str| Format::Script { interpreter: interpreter.to_owned() };
        for (head, expected) in [
            (&b"#!/bin/sh\necho\n"[..], script("/bin/sh")),
            (b"#! /usr/bin/env python3", script("/usr/bin/env")),
            (b"#!/bin/sh\r\n", script("/bin/sh\r")),
            (b"#!\n/bin/sh", Format::Unknown),
            (b"", Format::Unknown),
            (b"echo hello", Format::Unknown),
            (b"MZ", Format::Unknown),
            (b"\x7fELF", Format::Unknown),
        ] {
            assert_eq!(Format::read(head), expected, "{}", String::from_utf8_lossy(head));
        }
    }

    #[test]
    fn elf_headers_of_every_byte_order_are_read() {
        let mut head = vec![0; 20];
        head[..6].copy_from_slice(b"\x7fELF\x02\x01");
        head[18] = 183;
        assert_eq!(Format::read(&head), Format::Elf { machine: 183, little: true, interpreter: None });
        head[5] = 2;
        head.swap(18, 19);
        assert_eq!(Format::read(&head), Format::Elf { machine: 183, little: false, interpreter: None });
    }

    #[test]
    fn this_test_is_a_program_of_this_machine() {
        use std::io::Read as _;
        let mut head = Vec::new();
        let file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
        file.take(HEAD).read_to_end(&mut head).unwrap();
        let Format::Elf { machine, little, interpreter } = Format::read(&head) else { panic!("not ELF") };
        let machines = machines(crate::manifest::Platform::current().architecture()).unwrap();
        assert!(machines.contains(&(machine, little)));
        if let Some(interpreter) = interpreter {
            assert!(std::path::Path::new(&interpreter).exists(), "{interpreter}");
        }
    }
}
