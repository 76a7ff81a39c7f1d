//! What a case found: rows of the table.

use serde_json::{Value, json};

/// One figure, and whether it is as promised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) what: String,
    pub(super) value: String,
    pub(super) is_good: bool,
}

impl Row {
    /// A figure that has to be this one.
    pub(super) fn exact<T: PartialEq + std::fmt::Display>(what: &str, value: T, expected: T) -> Self {
        let is_good = value == expected;
        let value = if is_good { value.to_string() } else { format!("{value}, not {expected}") };
        Self { what: what.to_owned(), value, is_good }
    }

    /// A figure with what is wrong about it: nothing, if it is good.
    pub(super) fn found(what: &str, value: impl std::fmt::Display, wrong: &[String]) -> Self {
        let value =
            if wrong.is_empty() { value.to_string() } else { format!("{value}; {}", wrong.join("; ")) };
        Self { what: what.to_owned(), value, is_good: wrong.is_empty() }
    }

    pub(super) fn json(&self) -> Value {
        json!({ "what": self.what, "value": self.value, "good": self.is_good })
    }
}

/// The table of all rows.
pub(super) fn table(rows: &[Row]) -> String {
    let mut lines = vec!["| what | figure | |".to_owned(), "|---|---|---|".to_owned()];
    lines.extend(rows.iter().map(|row| {
        format!("| {} | {} | {} |", row.what, row.value, if row.is_good { "good" } else { "**BAD**" })
    }));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_row_says_why() {
        let rows = [Row::exact("a", 1, 1), Row::exact("b", 1, 2), Row::found("c", 3, &["too late".into()])];
        assert_eq!(rows.each_ref().map(|row| row.is_good), [true, false, false]);
        assert!(table(&rows).ends_with("| b | 1, not 2 | **BAD** |\n| c | 3; too late | **BAD** |"));
    }
}
