//! Rows and columns.

use dockerloader::logging::printable;

use super::{Tone, View};

/// Columns between two columns.
const GAP: usize = 2;
/// The last column is left out where it would have less room than this.
const LEAST: usize = 16;

/// A table whose last column gets what room is left.
#[derive(Debug)]
pub(super) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// Text with its tone.
#[derive(Debug, Clone)]
pub(super) struct Cell(Tone, String);

pub(super) fn cell(tone: Tone, text: impl AsRef<str>) -> Cell {
    Cell(tone, printable(text.as_ref()).into_owned())
}

pub(super) fn plain(text: impl AsRef<str>) -> Cell {
    cell(Tone::Plain, text)
}

impl Table {
    pub(super) fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Aligned; a column without anything in it is left out, and lines end with their last word.
    pub(super) fn text(&self, view: &View) -> String {
        let widths = self.widths(view);
        let head = self.head.iter().map(|word| cell(Tone::Strong, word)).collect();
        let mut text = String::new();
        for row in std::iter::once(&head).chain(&self.rows) {
            let mut line = String::new();
            // Written only before something: no line ends with spaces.
            let mut padding = 0;
            for (Cell(tone, word), width) in row.iter().zip(&widths) {
                let Some(width) = *width else { continue };
                let word = cut(word, width);
                let length = word.chars().count();
                if length > 0 {
                    line.push_str(&" ".repeat(padding));
                    line.push_str(&view.paint(*tone, &word));
                    padding = 0;
                }
                padding += width.saturating_sub(length) + GAP;
            }
            text.push_str(&line);
            text.push('\n');
        }
        text
    }

    /// Of each column; `None` for one that is left out.
    fn widths(&self, view: &View) -> Vec<Option<usize>> {
        let longest = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|Cell(_, word)| word.chars().count()).max()
        };
        let mut widths: Vec<_> = self
            .head
            .iter()
            .enumerate()
            .map(|(column, head)| {
                longest(column).filter(|longest| *longest > 0).map(|longest| longest.max(head.len()))
            })
            .collect();
        if let (Some(room), Some((last, others))) = (view.width, widths.split_last_mut())
            && let Some(wanted) = *last
        {
            let taken: usize = others.iter().flatten().map(|width| width + GAP).sum();
            let left = room.saturating_sub(taken);
            *last = (left >= LEAST.min(wanted)).then(|| wanted.min(left));
        }
        widths
    }
}

/// At most so many characters, the last one an ellipsis if there were more.
fn cut(word: &str, width: usize) -> String {
    if word.chars().count() <= width {
        return word.to_owned();
    }
    let kept: String = word.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["NAME", "EMPTY", "STATE", "WHY"]);
        table.row(vec![plain("web"), plain(""), cell(Tone::Good, "up"), plain("it runs its best version")]);
        table.row(vec![plain("database"), plain(""), plain("down"), plain("")]);
        table
    }

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let wide = View { width: None, ..sample::view() };
        assert_eq!(
            table().text(&wide),
            "NAME      STATE  WHY\n\
             web       up     it runs its best version\n\
             database  down\n"
        );
    }

    #[test]
    fn the_last_column_gets_the_room_that_is_left() {
        let at = |width| table().text(&View { width: Some(width), ..sample::view() });
        assert_eq!(at(41), at(120), "it fits");
        assert_eq!(at(35).lines().nth(1), Some("web       up     it runs its best…"));
        assert_eq!(at(33).lines().nth(1), Some("web       up     it runs its bes…"));
        assert_eq!(at(32).lines().nth(1), Some("web       up"), "too little to say anything");
    }

    #[test]
    fn colours_take_no_room() {
        let view = View { width: None, colours: true, ..sample::view() };
        let line = table().text(&view).lines().nth(1).map(str::to_owned).unwrap();
        assert_eq!(line, "web       \u{1b}[32mup\u{1b}[0m     it runs its best version");
    }
}
