//! Why a JSON text cannot be read as a type, without the contents of the text. `serde` quotes values
//! (``invalid type: string "alice"``, ``unknown variant `x` ``), and its messages go into logs, suspensions
//! and failures. This module keeps the parts that come from the code (the expected type, names of fields and
//! variants), removes the parts that come from the text, and adds the place in the text.

use super::place::{Path, is_name, kind};
use std::borrow::Cow;

/// Why `json` was not read, where `error` is the error of `serde_json`. The result contains no value.
pub fn unread(json: &str, error: &serde_json::Error) -> String {
    // The messages of `serde_json` for invalid JSON quote nothing.
    if !error.is_data() {
        return error.to_string();
    }
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    let said = without_values(text.strip_suffix(&position).unwrap_or(&text));
    match offset(json, error.line(), error.column()) {
        None => said.into_owned(),
        Some(offset) => {
            let (path, found) = place(json, offset);
            let there = found.map(|json| format!(", where {} is", kind(json))).unwrap_or_default();
            format!("{said}, {path}{there} (byte {offset} of {})", json.len())
        }
    }
}

/// The parts of serde's own messages beside the value. Any other message comes from a custom `Deserialize`
/// and may quote it.
fn without_values(said: &str) -> Cow<'_, str> {
    let kept = [typed(said), unknown(said), fixed(said)].into_iter().flatten().next();
    kept.unwrap_or(Cow::Borrowed("its `Deserialize` refuses it"))
}

/// `` invalid type: string "..", expected u32 ``.
fn typed(said: &str) -> Option<Cow<'_, str>> {
    let kind = ["invalid type: ", "invalid value: "].into_iter().find(|kind| said.starts_with(kind))?;
    let (found, expected) = said[kind.len()..].rsplit_once(", expected ")?;
    // Of the value, keep only the words before it.
    let word = found.split(['`', '"']).next().unwrap_or_default().trim_end();
    let known = [
        "boolean",
        "integer",
        "floating point",
        "character",
        "string",
        "byte array",
        "null",
        "unit value",
        "Option value",
        "newtype struct",
        "sequence",
        "map",
        "enum",
        "unit variant",
        "newtype variant",
        "tuple variant",
        "struct variant",
    ];
    let word = if known.contains(&word) { word } else { "another value" };
    Some(format!("{kind}{word}, expected {expected}").into())
}

/// `` unknown variant `..`, expected one of `a`, `b` ``, and the same for a field. The field's name is a key
/// of the text.
fn unknown(said: &str) -> Option<Cow<'_, str>> {
    let (what, rest) = ["variant", "field"].into_iter().find_map(|what| {
        Some((what, said.strip_prefix("unknown ")?.strip_prefix(what)?.strip_prefix(" `")?))
    })?;
    let ends = ["`, expected ", "`, there are no variants", "`, there are no fields"];
    let at = ends.iter().filter_map(|end| rest.rfind(end)).max()?;
    let (name, tail) = (&rest[..at], &rest[at + 1..]);
    Some(match what == "field" && is_name(name) {
        true => Cow::Borrowed(said),
        false => format!("unknown {what}{tail}").into(),
    })
}

/// Messages that contain only names in the code and numbers of elements.
fn fixed(said: &str) -> Option<Cow<'_, str>> {
    let named = |before: &str| said.strip_prefix(before)?.strip_suffix('`').filter(|name| is_path(name));
    let known = named("missing field `").or_else(|| named("duplicate field `")).is_some()
        || said
            .strip_prefix("invalid length ")
            .and_then(|rest| rest.split_once(", expected "))
            .is_some_and(|(n, _)| n.parse::<u64>().is_ok())
        || said.strip_prefix("data did not match any variant of untagged enum ").is_some_and(is_name);
    known.then_some(Cow::Borrowed(said))
}

/// A name in the code, also of a field that was renamed to `card-number`.
fn is_path(name: &str) -> bool {
    !name.is_empty() && name.len() <= 100 && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'`')
}

/// The byte offset of a line and a column. `serde_json` counts both from 1, and columns in bytes.
fn offset(json: &str, line: usize, column: usize) -> Option<usize> {
    let before: usize = json.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    (before + column <= json.len()).then_some(before + column)
}

/// One container around a place.
enum Step<'a> {
    Index(usize),
    /// The last key, and its position among the keys.
    Key(&'a str, usize),
}

/// The path of the value that ends at this byte or contains it, and the value if it ends there.
fn place(json: &str, offset: usize) -> (Path, Option<&str>) {
    let bytes = json.as_bytes();
    let (mut steps, mut starts): (Vec<Step<'_>>, Vec<usize>) = (Vec::new(), Vec::new());
    let (mut at, mut ended, mut wants_key) = (0, None, false);
    while at < offset.min(bytes.len()) {
        let from = at;
        at += 1;
        match bytes[from] {
            b'{' | b'[' => {
                wants_key = bytes[from] == b'{';
                steps.push(if wants_key { Step::Key("", 0) } else { Step::Index(0) });
                starts.push(from);
                ended = None;
            }
            b'}' | b']' => {
                steps.pop();
                ended = starts.pop().map(|start| (start, at));
            }
            b',' => {
                match steps.last_mut() {
                    Some(Step::Index(index)) => *index += 1,
                    Some(Step::Key(..)) => wants_key = true,
                    None => {}
                }
                ended = None;
            }
            b':' | b' ' | b'\t' | b'\n' | b'\r' => {}
            b'"' => {
                at = end_of_text(bytes, at);
                match steps.last_mut() {
                    Some(Step::Key(key, nth)) if wants_key => {
                        (*key, *nth, wants_key) = (&json[from + 1..at.max(from + 2) - 1], *nth + 1, false);
                    }
                    _ => ended = Some((from, at)),
                }
            }
            _ => {
                while at < bytes.len() && !b",]}: \t\n\r\"[{".contains(&bytes[at]) {
                    at += 1;
                }
                ended = Some((from, at));
            }
        }
    }
    let mut path = Path::default();
    for step in &steps {
        // The path is not left again.
        let _ = match step {
            Step::Index(index) => path.index(*index),
            Step::Key(_, 0) => continue,
            Step::Key(key, nth) => path.key(key, *nth),
        };
    }
    (path, ended.filter(|(_, end)| *end >= offset).map(|(from, end)| &json[from..end]))
}

/// The byte after a text's closing quote.
fn end_of_text(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

#[cfg(test)]
#[path = "unread_tests.rs"]
mod tests;
