//! Instructions and allocations, counted by valgrind's callgrind.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use tests::programs::installed;

/// What gives memory.
const ALLOCATORS: &[&str] = &["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign"];

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) instructions: u64,
    pub(crate) allocations: u64,
}

/// callgrind, writing into a file; `None` where it isn't installed.
pub(crate) fn counting(into: &Path) -> Option<Command> {
    let mut valgrind = Command::new(installed("valgrind")?);
    valgrind.args(["--quiet", "--tool=callgrind"]);
    valgrind.arg(format!("--callgrind-out-file={}", into.display()));
    Some(valgrind)
}

/// Reads a profile (valgrind manual, "Callgrind Format Specification").
pub(crate) fn read(profile: &str) -> Counts {
    let mut names = HashMap::new();
    let (mut instructions, mut allocations, mut called) = (0, 0, "");
    for line in profile.lines() {
        if let Some(total) = line.strip_prefix("totals: ") {
            instructions = total.trim().parse().unwrap_or_default();
        } else if let Some(name) = line.strip_prefix("fn=") {
            name_of(name, &mut names);
        } else if let Some(name) = line.strip_prefix("cfn=") {
            called = name_of(name, &mut names);
        } else if let Some(count) = line.strip_prefix("calls=").filter(|_| ALLOCATORS.contains(&called)) {
            let count = count.split(' ').next().and_then(|count| count.parse::<u64>().ok());
            allocations += count.unwrap_or_default();
        }
    }
    Counts { instructions, allocations }
}

/// `(7) malloc` where a name comes for the first time, `(7)` from then on; a level of recursion stands behind it.
fn name_of<'p>(text: &'p str, names: &mut HashMap<&'p str, &'p str>) -> &'p str {
    match text.split_once(' ') {
        Some((number, name)) => {
            let name = name.split('\'').next().unwrap_or(name);
            names.insert(number, name);
            name
        }
        None => names.get(text).copied().unwrap_or(text),
    }
}

#[test]
fn a_profile_is_read() {
    let profile = "version: 1\nevents: Ir\n\nfn=(1) main\n1 10\ncfn=(2) malloc\ncalls=3 0\n1 30\ncfn=(3) free\ncalls=9 0\n1 9\n\n\
        fn=(2)\n2 30\ncfn=(2)\ncalls=4 0\n2 4\ncfn=(4) malloc_consolidate\ncalls=5 0\n2 5\n\ntotals: 88\n";
    assert_eq!(read(profile), Counts { instructions: 88, allocations: 7 });
}
