//! Files of secrets that have one to a line.

use super::Fault;

/// The lines that say something, each with its number from 1: neither empty ones nor comments that begin with `#`.
///
/// # Errors
/// The file has more than `bytes_max` bytes.
pub fn numbered(text: &str, bytes_max: usize) -> Result<impl Iterator<Item = (usize, &str)>, Fault> {
    check_size(text, bytes_max)?;
    // Some editors begin a file with this mark, which would become a part of the first name.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim_end()));
    Ok(lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')))
}

fn check_size(text: &str, bytes_max: usize) -> Result<(), Fault> {
    if text.len() <= bytes_max {
        return Ok(());
    }
    let before = &text.as_bytes()[..bytes_max];
    Err(Fault {
        line: before.iter().filter(|b| **b == b'\n').count() + 1,
        message: format!("the file goes on after {bytes_max} bytes: is it the right one?"),
    })
}
