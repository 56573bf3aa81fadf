//! What `overview` and `watch` say of a stage that somebody paused.

use crate::show::text;
use serde_json::Value;

/// Which, since when, by whom, why, and what ends it.
pub(super) fn told(pause: &Value) -> String {
    let why = match pause["reason"].as_str() {
        Some(_) => format!(": {}", text(&pause["reason"])),
        None => String::new(),
    };
    format!(
        "{} since {} by {}{why}; granary resume {}",
        text(&pause["stage"]),
        text(&pause["since"]),
        text(&pause["by"]),
        text(&pause["stage"])
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pause_is_told_with_what_ends_it() {
        let mut pause =
            json!({"stage": "export", "since": "2026-11-22T10:30:00Z", "by": "operator", "reason": null});
        assert_eq!(
            told(&pause),
            "export since 2026-11-22T10:30:00Z by operator; granary resume export"
        );
        pause["reason"] = "a rebuild\u{1b}[31m".into();
        assert_eq!(
            told(&pause),
            "export since 2026-11-22T10:30:00Z by operator: a rebuild [31m; granary resume export"
        );
    }
}
