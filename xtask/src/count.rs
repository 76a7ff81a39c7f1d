//! Counting tests in what test runners print.

use std::ops::AddAssign;

/// How many tests there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// The summary line of libtest ("test result: ...") or of nextest ("Summary [...] ..."), if this is one.
pub(crate) fn summary(line: &str) -> Option<Count> {
    let line = without_colours(line);
    // nextest indents the output of a test that failed, in which libtest's own line was counted by nextest.
    if !line.starts_with("test result: ") && !line.trim_start().starts_with("Summary [") {
        return None;
    }
    let words = line.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let words = words.collect::<Vec<_>>();
    let mut count = Count::default();
    for pair in words.windows(2) {
        let [number, what] = pair else { continue };
        let Ok(number) = number.parse::<u64>() else { continue };
        match *what {
            "passed" => count.passed += number,
            // nextest counts a test that was ended for its duration apart from those that failed.
            "failed" | "timed" => count.failed += number,
            "ignored" | "skipped" => count.skipped += number,
            _ => {}
        }
    }
    Some(count)
}

/// Without escape sequences of the form `ESC [ ... letter`.
fn without_colours(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|letter: char| letter.is_ascii_alphabetic()).map_or(part.len(), |at| at + 1);
        text.push_str(part.get(end..).unwrap_or_default());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries() {
        let count = |passed, failed, skipped| Some(Count { passed, failed, skipped });
        for (line, expected) in [
            ("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out", count(3, 0, 1)),
            (
                "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
                count(3, 2, 0),
            ),
            ("     Summary [   0.012s] 5 tests run: 5 passed, 0 skipped", count(5, 0, 0)),
            (
                "     Summary [   9.1s] 7/9 tests run: 4 passed (1 slow), 2 failed, 1 timed out, 2 skipped",
                count(4, 3, 2),
            ),
            (
                "\u{1b}[32;1m     Summary\u{1b}[0m [ 1s] 1 test run: \u{1b}[1m1\u{1b}[0m passed",
                count(1, 0, 0),
            ),
            ("    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 9 filtered out", None),
            ("the test printed: 3 passed", None),
            ("", None),
        ] {
            assert_eq!(summary(line), expected, "{line}");
        }
    }
}
