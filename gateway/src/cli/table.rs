//! Tables for people: columns as wide as their widest cell.

use crate::cli::terminal::printable;

/// To which side a column's cells are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Columns as wide as their widest cell.
pub struct Table {
    sides: Vec<Side>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// No rows yet.
    pub fn new<const N: usize>(heads: [(&str, Side); N]) -> Self {
        Self {
            sides: heads.iter().map(|(_, side)| *side).collect(),
            rows: vec![heads.iter().map(|(head, _)| (*head).to_owned()).collect()],
        }
    }

    /// One more, at the end.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.iter().map(|cell| printable(cell)).collect());
    }

    /// A line for each row, the heads first.
    pub fn text(&self, colour: bool) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.sides.len()).map(width).collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, side), width) in row.iter().zip(&self.sides).zip(&widths) {
                let fill = " ".repeat(width - cell.chars().count());
                let cell = painted(cell, colour);
                match side {
                    Side::Left => line.push_str(&format!("{cell}{fill}  ")),
                    Side::Right => line.push_str(&format!("{fill}{cell}  ")),
                }
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// The words for a server's state in the colours of a traffic light.
fn painted(cell: &str, colour: bool) -> String {
    let style = match cell {
        "up" => "32",
        "drain" | "off" => "33",
        "down" | "ejected" => "1;31",
        _ => return cell.to_owned(),
    };
    if colour {
        format!("\x1b[{style}m{cell}\x1b[0m")
    } else {
        cell.to_owned()
    }
}
