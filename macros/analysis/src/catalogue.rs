//! The rules for tools: each rule as single paths, and the rule for a given path. The macro and all tools
//! that tell users what workflow code must not do use this one table.

use crate::rules::{self, RULES, Rule};

/// A path that workflow code must not name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forbidden {
    /// Its code, which has a page in `docs/errors/`.
    pub code: &'static str,
    /// The full path. `a::b::*` is every path below `a::b`; `a::b!` is a macro.
    pub path: String,
    /// The reason. The text continues after the path's name.
    pub why: &'static str,
    /// What to write instead.
    pub instead: &'static str,
}

impl Forbidden {
    fn new(rule: &'static Rule, path: String) -> Self {
        Self { code: rule.code.text(), path, why: rule.reason, instead: rule.instead }
    }
}

/// All rules, with their alternatives expanded.
pub fn catalogue() -> impl Iterator<Item = Forbidden> {
    RULES.iter().flat_map(|rule| rules::patterns(rule.paths).map(|path| Forbidden::new(rule, path)))
}

/// The rule against `path`, if there is one. A macro's path ends with `!`.
pub fn forbidden(path: &str) -> Option<Forbidden> {
    let segments = rules::canonical(path.split("::").map(str::to_owned).collect());
    rules::find(&segments).map(|rule| Forbidden::new(rule, path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_look_ups_agree() {
        for line in catalogue().filter(|line| !line.path.ends_with("::*")) {
            assert_eq!(forbidden(&line.path).map(|found| found.code), Some(line.code), "{}", line.path);
        }
        assert_eq!(forbidden("std::fs::write").map(|found| found.code), Some("AB0107"));
        assert_eq!(forbidden("std::sync::Arc::new"), None);
    }
}
