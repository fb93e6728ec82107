//! Shows the history in 100 columns: the recorded events on the left, the current code's behaviour on the
//! right.
//!
//! Plain text for terminals and CI logs: no colours, widths in characters. This module does not know events.

/// The width of a report.
pub(super) const WIDTH: usize = 100;
const LEFT: usize = 44;
pub(super) const RIGHT: usize = WIDTH - HEAD - LEFT - 3;
/// The mark, the number, and the gap after them.
const HEAD: usize = 9;
/// The most lines of a cell in the marked row. In other rows a cell has one line.
const CELL_LINES: usize = 4;

/// The state of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The code did the same.
    Same,
    /// The first difference.
    Mark,
    /// The replay did not reach it.
    Unreached,
}

/// One recorded event, and what the current code did there.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) number: u64,
    pub(super) kind: Kind,
    /// The paragraphs of each cell.
    pub(super) left: Vec<String>,
    pub(super) right: Vec<String>,
}

/// The head line, the rows, and how many events are left out before and after them.
pub(super) fn render(rows: &[Row], before: u64, behind: u64) -> String {
    let mut lines = vec![line(' ', "", "recorded", ' ', "today's code")];
    if before > 0 {
        lines.push(line(' ', "..", &left_out(before, "before"), ' ', ""));
    }
    for row in rows {
        lines.extend(cells(row));
    }
    if behind > 0 {
        lines.push(line(' ', "..", &left_out(behind, "after"), ' ', ""));
    }
    lines.join("\n")
}

fn left_out(events: u64, place: &str) -> String {
    if events == 1 { format!("1 event {place}") } else { format!("{events} events {place}") }
}

fn cells(row: &Row) -> Vec<String> {
    let (mark, sign) = match row.kind {
        Kind::Same => (' ', '='),
        Kind::Mark => ('>', '!'),
        Kind::Unreached => (' ', ' '),
    };
    let lines = if row.kind == Kind::Mark { CELL_LINES } else { 1 };
    let cell = |paragraphs: &[String], width| -> Vec<String> {
        paragraphs.iter().flat_map(|text| wrap(text, width, lines)).collect()
    };
    let (left, right) = (cell(&row.left, LEFT), cell(&row.right, RIGHT));
    let text = |cell: &[String], i: usize| cell.get(i).cloned().unwrap_or_default();
    (0..left.len().max(right.len()).max(1))
        .map(|i| match i {
            0 => line(mark, &row.number.to_string(), &text(&left, 0), sign, &text(&right, 0)),
            i => line(' ', "", &text(&left, i), ' ', &text(&right, i)),
        })
        .collect()
}

fn line(mark: char, number: &str, left: &str, sign: char, right: &str) -> String {
    let line = format!("{mark} {number:>5}  {left:<LEFT$} {sign} {right}");
    line.trim_end().to_owned()
}

/// Cuts a text to a width. Two dots show that there was more.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(2)).collect();
    format!("{}..", kept.trim_end())
}

/// Breaks a text into lines of a width, at spaces if there are any nearby. Returns at most `lines` lines; the
/// last one is cut.
pub(super) fn wrap(text: &str, width: usize, lines: usize) -> Vec<String> {
    let mut wrapped = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if wrapped.len() + 1 == lines {
            wrapped.push(cut(rest, width));
            break;
        }
        let end = break_at(rest, width);
        wrapped.push(rest[..end].trim_end().to_owned());
        rest = rest[end..].trim_start();
    }
    wrapped
}

/// The byte offset at which a line of this width ends.
fn break_at(text: &str, width: usize) -> usize {
    let Some((full, _)) = text.char_indices().nth(width) else { return text.len() };
    let next_is_space = text[full..].starts_with(' ');
    let space = if next_is_space { Some(full) } else { text[..full].rfind(' ') };
    // A break far to the left wastes the column. In that case the long word is broken.
    space.filter(|at| text[..*at].chars().count() * 3 > width).unwrap_or(full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_long_words_anywhere() {
        assert_eq!(wrap("one two three", 7, 9), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij", 4, 9), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("ab ööööööö", 6, 9), ["ab ööö", "öööö"]);
        assert_eq!(wrap("one two three four", 7, 2), ["one two", "three.."]);
        assert!(wrap("  ", 7, 2).is_empty());
    }

    #[test]
    fn no_line_is_wider_than_the_report() {
        let long = "activity `charge` with [\"".to_owned() + &"ä".repeat(500) + "\"]";
        let row = |kind| Row { number: 51_200, kind, left: vec![long.clone()], right: vec![long.clone()] };
        let rows = [row(Kind::Same), row(Kind::Mark), row(Kind::Unreached)];
        let table = render(&rows, 1, 2);
        assert!(table.lines().all(|line| line.chars().count() <= WIDTH), "{table}");
        assert_eq!(table.lines().count(), 3 + 1 + CELL_LINES + 1, "{table}");
        assert!(table.contains("1 event before") && table.contains("2 events after"), "{table}");
    }
}
