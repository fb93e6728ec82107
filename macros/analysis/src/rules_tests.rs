//! The decisions of the rules.

use super::*;

fn code(path: &str) -> Option<Code> {
    let path = canonical(path.split("::").map(str::to_owned).collect());
    find(&path).map(|rule| rule.code)
}

#[test]
fn the_longest_pattern_decides() {
    assert_eq!(code("std::time::Instant::now"), Some(Code::Clock));
    assert_eq!(code("core::time::Duration::from_secs"), None);
    assert_eq!(code("tokio::time::Duration::from_secs"), None);
    assert_eq!(code("tokio::time::error::Elapsed::new"), None);
    assert_eq!(code("tokio::time::sleep"), Some(Code::Timer));
    assert_eq!(code("std::fs::File::open"), Some(Code::Io));
    assert_eq!(code("reqwest::StatusCode::OK"), None);
    assert_eq!(code("reqwest::Client::new"), Some(Code::Io));
    assert_eq!(code("std::sync::Arc::new"), None);
    assert_eq!(code("std::println!"), Some(Code::Console));
    assert_eq!(code("rand::prelude::random"), Some(Code::Random));
    assert_eq!(code("std::path::PathBuf::exists"), Some(Code::Io));
    assert_eq!(code("std::process::id"), Some(Code::Environment));
    assert_eq!(code("uuid::Uuid::nil"), None);
}

#[test]
fn globs_bring_only_what_is_known() {
    let known = |path: &str| is_known(&path.split("::").map(str::to_owned).collect::<Vec<_>>(), false);
    assert!(known("std::time::Instant"));
    assert!(known("tokio::time::sleep"));
    assert!(!known("tokio::time::whatever"));
    assert!(!known("abide::prelude::charge"));
}

#[test]
fn no_pattern_is_written_twice() {
    let mut seen = HashMap::new();
    for rule in RULES {
        for pattern in patterns(rule.paths) {
            assert!(seen.insert(pattern.clone(), rule.code).is_none(), "{pattern} twice");
        }
    }
}
