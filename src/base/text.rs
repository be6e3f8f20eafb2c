//! pure: text for people at a terminal: tables that fit, the first of many, how long.

use std::collections::BTreeMap;
use std::fmt;

use jiff::SignedDuration;

use crate::base::columns::{Width, break_of, columns};

/// The first of `all`, and how many more there are.
pub fn few<T: fmt::Display>(all: &[T]) -> String {
    let first: Vec<String> = all.iter().take(FEW).map(ToString::to_string).collect();
    let more = all.len().saturating_sub(FEW);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    first.join(" ") + &rest
}

/// Of a list, as many as a person reads.
const FEW: usize = 8;

/// How long, for people.
pub fn span(duration: SignedDuration) -> String {
    match duration.abs().as_secs() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// Rows of cells, the first of them the head.
#[derive(Debug, Clone, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
    /// What stands below a row, by its number.
    below: BTreeMap<usize, String>,
    indent: usize,
}

impl Table {
    /// One with these names of its columns.
    pub fn new(head: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { rows: vec![head.into_iter().map(Into::into).collect()], ..Self::default() }
    }

    /// The same, indented.
    #[must_use]
    pub fn indented(self, indent: usize) -> Self {
        Self { indent, ..self }
    }

    /// Adds a row, which has as many cells as the head.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        let mut cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        cells.resize(self.rows[0].len(), String::new());
        self.rows.push(cells);
    }

    /// Adds a line below the last row, as wide as it likes.
    pub fn below(&mut self, text: impl Into<String>) {
        self.below.insert(self.rows.len() - 1, text.into());
    }

    /// Aligned, in lines that fit; the cells of what is wider go on below.
    pub fn text(&self, width: Width) -> String {
        self.painted(width, |_, _, padded| padded)
    }

    /// The same; `paint` gets the row's number (0: the head), the column's, and the padded cell.
    pub fn painted(&self, width: Width, paint: impl Fn(usize, usize, String) -> String) -> String {
        let widths = self.widths(width);
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            let cells: Vec<Vec<String>> =
                row.iter().zip(&widths).map(|(cell, width)| folded(cell, *width)).collect();
            for line in 0..cells.iter().map(Vec::len).max().unwrap_or_default() {
                let cell = |(column, parts): (usize, &Vec<String>)| {
                    let part = parts.get(line).map_or("", String::as_str);
                    let padded = format!("{part:width$}", width = widths[column]);
                    if part.is_empty() { padded } else { paint(number, column, padded) }
                };
                let cells: Vec<String> = cells.iter().enumerate().map(cell).collect();
                let line = format!("{}{}", " ".repeat(self.indent), cells.join("  "));
                text.push_str(line.trim_end());
                text.push('\n');
            }
            if let Some(below) = self.below.get(&number) {
                let indent = self.indent + 2;
                text.push_str(&width.wrapped(&" ".repeat(indent), indent + 2, below));
            }
        }
        text
    }

    /// As wide as the longest cell if all that fits; else the widest give way, as long as that
    /// breaks no word, and then all the same.
    fn widths(&self, width: Width) -> Vec<usize> {
        let count = self.rows[0].len();
        let of = |measure: fn(&str) -> usize| -> Vec<usize> {
            let widest = |n: usize| self.rows.iter().map(|row| measure(&row[n])).max().unwrap_or(0);
            (0..count).map(widest).collect()
        };
        let mut widths = of(columns);
        let words = of(|cell| cell.split_whitespace().map(columns).max().unwrap_or(0));
        let room = width.columns().saturating_sub(self.indent + 2 * count.saturating_sub(1));
        for least in [&words, &vec![NARROW; count], &vec![NARROWEST; count]] {
            while widths.iter().sum::<usize>() > room {
                let wider = (0..count).filter(|&n| widths[n] > least[n]);
                let Some(widest) = wider.max_by_key(|&n| widths[n]) else { break };
                widths[widest] -= 1;
            }
        }
        widths
    }
}

/// A cell in lines of at most `width`.
fn folded(cell: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in cell.split_whitespace() {
        let mut rest = word;
        while let Some(line) = lines.last_mut() {
            let gap = usize::from(!line.is_empty());
            if columns(line) + gap + columns(rest) <= width {
                line.push_str(&" ".repeat(gap));
                line.push_str(rest);
                break;
            }
            if line.is_empty() {
                let (piece, more) = rest.split_at(break_of(rest, width));
                line.push_str(piece);
                rest = more;
                if rest.is_empty() {
                    break;
                }
            }
            lines.push(String::new());
        }
    }
    lines
}

/// A column is narrower only where all of them are.
const NARROW: usize = 5;

/// No column is narrower.
const NARROWEST: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fits(text: &str, width: Width) -> bool {
        text.lines().all(|line| columns(line) <= width.columns())
    }

    #[test]
    fn a_span_has_the_unit_that_people_count_it_in() {
        let told = |seconds| span(SignedDuration::from_secs(seconds));
        assert_eq!([told(-34_560_000), told(172_799)], ["400 days", "47 h"]);
        assert_eq!([told(7199), told(-119)], ["119 min", "119 s"]);
    }

    #[test]
    fn a_table_is_as_wide_as_it_must_be_and_wraps_where_it_is_too_wide() {
        let mut table = Table::new(["A", "NAMES"]).indented(2);
        table.row(["1", "a.example"]);
        assert_eq!(table.text(Width::default()), "  A  NAMES\n  1  a.example\n");
        table.row(["2", &"name.example ".repeat(9)]);
        let text = table.text(Width::default());
        assert!(fits(&text, Width::default()) && text.lines().count() == 4, "{text}");
        assert!(!text.contains("name.\n"), "no word is broken that need not be: {text}");
    }

    proptest! {
        #[test]
        fn every_table_of_at_most_nine_columns_fits(
            rows in proptest::collection::vec(
                proptest::collection::vec("([a-zß.-]{1,70} ?){0,5}", 9), 1..6),
            columns in 1_usize..10,
        ) {
            let mut table = Table::new((0..columns).map(|n| format!("HEAD {n}")));
            for row in &rows {
                table.row(row[..columns].to_vec());
            }
            for width in [40, 57, 80].map(Width::of_terminal) {
                let text = table.text(width);
                prop_assert!(fits(&text, width), "{}", text);
            }
        }
    }
}
