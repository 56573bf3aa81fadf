//! The source's name without some of the indices that it stands for.
//!
//! Elasticsearch takes indices away from a pattern (`logs-*,-logs-7`) and from a list, and not from an alias or a data
//! stream: there the other indices are named. Nothing here can fail.

/// The longest list of names, in bytes of a request's first line, which may have 4,096.
const LIST_BYTES_MAX: usize = 3_000;
/// A comma takes three of them.
const COMMA_BYTES: usize = 3;

/// The name without blocked and closed indices. A pattern leaves closed ones out by itself, also those of the aliases that it
/// matches. `None`: one of them is there by an alias or a data stream, or nothing is left.
pub(crate) fn without(name: &str, blocked: &[String], closed: &[String]) -> Option<String> {
    let parts = || name.split(',').map(str::trim);
    let patterns: Vec<&str> = parts().filter(|part| part.contains('*')).collect();
    let is_matched = |index: &str| patterns.iter().any(|pattern| matches(pattern, index));
    let is_named = |index: &String| is_matched(index) || parts().any(|part| part == index.as_str());
    let in_the_way = if patterns.is_empty() { closed } else { &[] };
    if !blocked.iter().chain(in_the_way).all(is_named) {
        return None;
    }
    let is_away = |part: &str| blocked.iter().chain(closed).any(|index| index.as_str() == part);
    let kept = parts().filter(|part| !is_away(part)).map(str::to_owned);
    let taken_away = blocked.iter().filter(|index| is_matched(index));
    let taken_away = taken_away.map(|index| format!("-{index}"));
    let left: Vec<String> = kept.chain(taken_away).collect();
    left.iter()
        .any(|part| !part.starts_with('-'))
        .then(|| left.join(","))
}

/// Whether it has a pattern, in whatever form.
pub(crate) fn has_pattern(name: &str) -> bool {
    name.contains('*') || name.split(',').any(|part| part.trim() == "_all")
}

/// All these names. `None`: there is none, or they are longer than a request may be.
pub(crate) fn list(names: &[String]) -> Option<String> {
    let bytes: usize = names.iter().map(|name| name.len() + COMMA_BYTES).sum();
    (1..=LIST_BYTES_MAX).contains(&bytes).then(|| names.join(","))
}

/// Whether a pattern, in which `*` is any text, matches a name.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(name) = name.strip_prefix(start) else {
        return false;
    };
    let mut ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
    ends.any(|at| matches(rest, &name[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn h12_a_blocked_index_is_taken_away_from_a_pattern_and_from_a_list() {
        let without = |name, blocked: &[&str]| without(name, &named(blocked), &[]);
        assert_eq!(without("q-*", &[]).as_deref(), Some("q-*"));
        assert_eq!(without("q-*", &["q-2", "q-3"]).as_deref(), Some("q-*,-q-2,-q-3"));
        assert_eq!(without("a, b,c", &["b"]).as_deref(), Some("a,c"));
        assert_eq!(
            without("b,q-*,-q-1", &["b", "q-2"]).as_deref(),
            Some("q-*,-q-1,-q-2")
        );
        assert_eq!(without("alias,q-*", &["other"]), None, "behind an alias");
        assert_eq!(without("a", &["a"]), None, "nothing is left");
    }

    #[test]
    fn h12_a_closed_index_is_taken_away_from_a_list_and_is_in_no_pattern_anyway() {
        let without = |name, closed: &[&str]| without(name, &[], &named(closed));
        assert_eq!(without("a,b", &["b"]).as_deref(), Some("a"));
        assert_eq!(without("q-*", &["q-2"]).as_deref(), Some("q-*"));
        assert_eq!(without("alias", &["b"]), None, "behind an alias");
        assert_eq!(without("al*", &["b"]).as_deref(), Some("al*"), "behind an alias");
        assert_eq!(without("b", &["b"]), None);
    }

    #[test]
    fn a_star_and_all_are_patterns() {
        assert!(has_pattern("a,q-*") && has_pattern("_all") && !has_pattern("a,b_all"));
    }

    #[test]
    fn names_are_listed_as_long_as_they_fit_a_request() {
        assert_eq!(list(&named(&["a", "b"])).as_deref(), Some("a,b"));
        assert_eq!(list(&[]), None);
        assert_eq!(list(&vec!["x".repeat(200); 20]), None);
    }

    #[test]
    fn a_star_is_any_text() {
        assert!(matches("q-*", "q-") && matches("*-7", "logs-7") && matches("a*b*c", "a-b-b-c"));
        assert!(!matches("q-*", "p-1") && !matches("*-7", "logs-8") && !matches("a*b*c", "a-c"));
    }
}
