//! Limits for texts from user code, before they become durable or are logged.
//!
//! A panic's message, an error's text or a reason can have any length, and a history, a suspension and each
//! row of a list would hold it. A text that is too long keeps its head and its tail, and says how many bytes
//! are missing. A text within its limit never changes, and recorded texts are never cut on replay: a replayed
//! error is identical byte for byte.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt::{self, Write};

/// The most bytes of one text: 8 KiB.
pub const MAX_TEXT_BYTES: usize = 8 * 1024;
/// The most bytes of one cause of an error: 2 KiB.
pub const MAX_CAUSE_BYTES: usize = 2 * 1024;
/// The most causes of an error.
pub const MAX_CAUSES: usize = 16;
/// The most causes that are followed, because a chain that leads back to itself has no end.
const MAX_WALK: usize = 1_000;
/// Space for the words that replace the missing bytes.
const WORDS: usize = 64;

/// Cuts a text to [`MAX_TEXT_BYTES`].
pub fn bounded(text: impl fmt::Display) -> String {
    bounded_to(MAX_TEXT_BYTES, text)
}

fn bounded_to(max: usize, text: impl fmt::Display) -> String {
    let mut kept = Kept { max, head: String::new(), tail: String::new(), all: 0 };
    // If a `Display` fails, the text so far is kept.
    let _ = write!(kept, "{text}");
    kept.finish()
}

/// The texts of an error's `source()` chain, outermost first: at most [`MAX_CAUSES`] texts of at most
/// [`MAX_CAUSE_BYTES`].
pub(crate) fn causes(error: &dyn Error) -> Vec<String> {
    bounded_chain(walk(error.source()))
}

/// An error and its causes, outermost first.
fn walk<'e>(first: Option<&'e (dyn Error + 'static)>) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(first, |cause: &&'e (dyn Error + 'static)| (*cause).source()).take(MAX_WALK)
}

/// The causes whose text is not already at the end of the text before.
/// `#[error("not read: {0}")] NotRead(#[from] io::Error)` includes its cause.
pub(crate) fn unsaid<'c>(
    message: &str,
    causes: impl Iterator<Item = &'c str>,
) -> impl Iterator<Item = &'c str> {
    let mut said = message.to_owned();
    causes.filter(move |cause| {
        let says = said.ends_with(cause);
        if !says {
            (*cause).clone_into(&mut said);
        }
        !says
    })
}

/// Writes an error for `Debug`, which `main` and `unwrap()` print: its text and its causes, one line each.
pub fn write_causes(
    f: &mut fmt::Formatter<'_>,
    message: impl fmt::Display,
    source: Option<&(dyn Error + 'static)>,
) -> fmt::Result {
    let (message, causes) = (message.to_string(), bounded_chain(walk(source)));
    f.write_str(&message)?;
    let mut causes = unsaid(&message, causes.iter().map(String::as_str));
    causes.try_for_each(|cause| write!(f, "\n  caused by: {cause}"))
}

/// The same for a chain of texts.
pub(crate) fn bounded_chain(chain: impl Iterator<Item: fmt::Display>) -> Vec<String> {
    let half = MAX_CAUSES / 2;
    let (mut first, mut last, mut cut) = (Vec::new(), VecDeque::new(), 0);
    for cause in chain {
        if first.len() < half {
            first.push(cause);
            continue;
        }
        last.push_back(cause);
        if last.len() > half {
            last.pop_front();
            cut += 1;
        }
    }
    let text = |cause| bounded_to(MAX_CAUSE_BYTES, cause);
    let mut texts: Vec<String> = first.into_iter().map(text).collect();
    if cut > 0 {
        // The note about the missing causes takes the place of one cause.
        last.pop_front();
        texts.push(format!("[.. {} causes cut ..]", cut + 1));
    }
    texts.extend(last.into_iter().map(text));
    texts
}

/// The part that is kept of a text while it is written.
struct Kept {
    max: usize,
    /// The whole text while it fits, then its head.
    head: String,
    tail: String,
    /// The number of bytes written.
    all: usize,
}

impl Kept {
    fn tail_bytes(&self) -> usize {
        (self.max - WORDS) / 4
    }

    fn finish(mut self) -> String {
        if self.all <= self.max {
            return self.head;
        }
        self.trim(self.tail_bytes());
        let cut = self.all - self.head.len() - self.tail.len();
        format!("{} [.. {cut} bytes cut ..] {}", self.head, self.tail)
    }

    /// Keeps the last `bytes` of the tail.
    fn trim(&mut self, bytes: usize) {
        let over = self.tail.len().saturating_sub(bytes);
        self.tail.drain(..self.tail.ceil_char_boundary(over));
    }
}

impl Write for Kept {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let fitted = self.all <= self.max;
        self.all = self.all.saturating_add(text.len());
        if self.all <= self.max {
            self.head.push_str(text);
            return Ok(());
        }
        let (head, tail) = (self.max - WORDS - self.tail_bytes(), self.tail_bytes());
        let mut rest = text;
        if fitted {
            // The first part that does not fit: split the text so far into head and tail.
            if self.head.len() < head {
                let (more, left) = text.split_at(text.floor_char_boundary(head - self.head.len()));
                self.head.push_str(more);
                rest = left;
            } else {
                self.tail = self.head.split_off(self.head.floor_char_boundary(head));
            }
        }
        self.tail.push_str(&rest[rest.ceil_char_boundary(rest.len().saturating_sub(tail))..]);
        if self.tail.len() > 2 * tail {
            self.trim(tail);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_was_said_is_not_said_again() {
        let unsaid = |message: &'static str, causes: &'static [&'static str]| {
            super::unsaid(message, causes.iter().copied()).collect::<Vec<_>>()
        };
        assert_eq!(unsaid("not read: f.csv: line 7", &["f.csv: line 7", "line 7"]), [""; 0]);
        assert_eq!(unsaid("not read", &["f.csv: line 7", "line 7", "eof"]), ["f.csv: line 7", "eof"]);
        assert_eq!(unsaid("not read", &["not", "read"]), ["not", "read"]);
    }

    #[test]
    fn what_fits_is_left_as_it_is() {
        for text in ["", "short", &"x".repeat(MAX_TEXT_BYTES)] {
            assert_eq!(bounded(text), text);
        }
    }

    #[test]
    fn what_is_too_long_keeps_head_and_tail_and_says_how_much_is_cut() {
        let long = format!("begin {} end", "x".repeat(10 << 20));
        let short = bounded(&long);
        assert!(short.len() <= MAX_TEXT_BYTES && short.len() > MAX_TEXT_BYTES - 2 * WORDS);
        assert!(short.starts_with("begin x") && short.ends_with("x end"), "{short}");
        let (head, rest) = short.split_once(" [.. ").unwrap();
        let (cut, tail) = rest.split_once(" bytes cut ..] ").unwrap();
        assert_eq!(cut.parse::<usize>().unwrap() + head.len() + tail.len(), long.len());
        assert_eq!(bounded(&short), short, "bounded twice is bounded once");
    }

    /// The result does not depend on how the text is written in parts, or where its characters end.
    #[test]
    fn pieces_make_no_difference() {
        for piece in ["x", "äö", "😀", "a😀bc", "0123456789abcdef"] {
            for bytes in [MAX_TEXT_BYTES - 8, MAX_TEXT_BYTES + 1, 3 * MAX_TEXT_BYTES + 5] {
                let whole = piece.repeat(bytes / piece.len() + 1);
                let short = bounded(&whole);
                let pieces = bounded(fmt::from_fn(|f| {
                    (0..whole.len() / piece.len()).try_for_each(|_| f.write_str(piece))
                }));
                assert!(short.len() <= MAX_TEXT_BYTES && pieces.len() <= MAX_TEXT_BYTES);
                assert_eq!(short, pieces, "{piece} {bytes}");
            }
        }
    }

    #[derive(Debug)]
    struct Endless(u32);

    impl fmt::Display for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{}", "e".repeat(self.0 as usize))
        }
    }

    impl Error for Endless {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            static SELF: Endless = Endless(9_000);
            Some(&SELF)
        }
    }

    #[test]
    fn a_chain_without_an_end_is_cut() {
        let chain = causes(&Endless(1));
        assert_eq!(chain.len(), MAX_CAUSES);
        assert_eq!(chain[MAX_CAUSES / 2], "[.. 985 causes cut ..]");
        assert!(chain.iter().all(|cause| cause.len() <= MAX_CAUSE_BYTES));
        assert_eq!(bounded_chain(chain.iter()), chain, "bounded twice is bounded once");
        let few: Vec<String> = (0..MAX_CAUSES).map(|n| n.to_string()).collect();
        assert_eq!(bounded_chain(few.iter()), few);
    }
}
