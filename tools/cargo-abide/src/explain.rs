//! `cargo abide explain`: the pages of `docs/errors/`, compiled in.

use crate::{Answer, Failed};
use std::fmt::Write as _;

/// Code and page, sorted by code.
const PAGES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// Codes that have a page, but that nothing emits yet.
const LATER: &[&str] = &[];

pub(crate) fn run(code: Option<&str>) -> Result<Answer, Failed> {
    match code {
        None => Ok(Answer::good(list())),
        Some(asked) => page(asked).map(|page| Answer::good(page.to_owned())),
    }
}

fn list() -> String {
    let mut text = String::new();
    for (code, page) in PAGES {
        let later = if LATER.contains(code) { " (not emitted yet)" } else { "" };
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "{code}  {}{later}", title(code, page));
    }
    text
}

fn title<'a>(code: &str, page: &'a str) -> &'a str {
    let first = page.lines().next().unwrap_or_default();
    first.trim_start_matches("# ").trim_start_matches(code).trim_start_matches(": ")
}

fn page(asked: &str) -> Result<&'static str, Failed> {
    let code = normal(asked);
    if let Some((_, page)) = PAGES.iter().find(|(known, _)| *known == code) {
        return Ok(page);
    }
    let mut failed = format!("there is no code `{asked}`");
    if let Some((near, page)) = PAGES.iter().min_by_key(|(known, _)| distance(known, &code)) {
        let _ = write!(failed, "; the nearest is {near}: {}", title(near, page));
    }
    Err(failed + "\nhelp: `cargo abide explain` lists all codes")
}

/// `ab0101`, `0101` and `101` all mean `AB0101`.
fn normal(asked: &str) -> String {
    let digits = asked.trim().to_ascii_uppercase();
    let digits = digits.strip_prefix("AB").unwrap_or(&digits);
    match digits.parse::<u32>() {
        Ok(number) => format!("AB{number:04}"),
        Err(_) => asked.trim().to_ascii_uppercase(),
    }
}

/// The number of differing characters, then the distance between the numbers.
fn distance(known: &str, asked: &str) -> (usize, u32) {
    let number = |code: &str| code.trim_start_matches("AB").parse::<u32>().unwrap_or(u32::MAX);
    let longer = known.len().max(asked.len());
    let same = known.chars().zip(asked.chars()).filter(|(a, b)| a == b).count();
    (longer.saturating_sub(same), number(known).abs_diff(number(asked)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_compiled_in_under_its_own_code() {
        assert!(PAGES.len() > 60, "only {} pages", PAGES.len());
        for (code, page) in PAGES {
            assert!(page.starts_with(&format!("# {code}: ")), "{code} begins with another title");
        }
        assert!(LATER.iter().all(|later| PAGES.iter().any(|(code, _)| code == later)));
    }

    /// Every replacement that a message of the macros recommends appears in a correct program, which
    /// `ui-tests` compile.
    #[test]
    fn what_the_catalogue_recommends_is_shown() {
        let right: Vec<&str> =
            PAGES.iter().flat_map(|(_, page)| page.split("```rust\n// right\n").skip(1)).collect();
        let right: Vec<&str> = right.iter().filter_map(|rest| rest.split("```").next()).collect();
        for line in abide_analysis::catalogue() {
            for piece in line.instead.split('`').skip(1).step_by(2) {
                // `workflow::sleep(..)`, `#[activity]`, `..("why")`: without the parts that stand for any
                // text.
                let fixed = piece.split("(..)").next().unwrap_or_default();
                let fixed = fixed.split("(\"why\")").next().unwrap_or_default().trim_end_matches(']');
                let shown = right.iter().any(|program| program.contains(fixed));
                assert!(shown, "{}: no page shows `{piece}`", line.code);
            }
        }
    }

    #[test]
    fn a_code_may_be_typed_as_one_likes() {
        for asked in ["AB0101", "ab0101", " 0101 ", "101"] {
            assert_eq!(normal(asked), "AB0101", "{asked}");
        }
        assert!(page("AB0115").is_ok());
        assert!(page("AB0116x").is_err_and(|failed| failed.contains("AB0116")));
        assert!(page("E0277").is_err());
        assert!(page("").is_err());
    }
}
