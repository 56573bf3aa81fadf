//! The shapes of statements that hold lists or several rows.
//!
//! A server keeps memory for each prepared statement, about 1 kB a parameter, and each length of a list is another
//! statement. So there are few lengths: a list is padded to the next one with its last value, which changes nothing,
//! and rows go into statements of few sizes. What is longer than [`PARAMS_KEPT_MAX`] is prepared, executed and closed.

use mysql_async::{Params, Value};
use std::fmt;

/// Lengths of lists; longer ones are padded to a multiple of the last.
const LENGTHS: [usize; 6] = [1, 4, 16, 64, 256, 1_000];
/// Rows in an INSERT, from the most to one.
const ROWS: [usize; 10] = [512, 256, 128, 64, 32, 16, 8, 4, 2, 1];
/// Parameters of a statement that a connection keeps prepared.
pub(crate) const PARAMS_KEPT_MAX: usize = 256;

/// The values of `IN (…)`. Shown, it is their placeholders.
#[derive(Debug, Clone)]
pub(crate) struct List(Vec<Value>);

impl List {
    /// Pads them. A list of nothing can't be written in SQL: callers ask nothing then.
    pub(crate) fn of<V: Into<Value>>(values: impl IntoIterator<Item = V>) -> Self {
        Self(padded(values.into_iter().map(Into::into).collect()))
    }

    /// The parameters of a statement that has no others.
    pub(crate) fn params(&self) -> Params {
        Params::Positional(self.0.clone())
    }

    /// The parameters of a statement that has the list twice.
    pub(crate) fn params_twice(&self) -> Params {
        Params::Positional(self.0.iter().chain(&self.0).cloned().collect())
    }

    /// The parameters of a statement that has these before.
    pub(crate) fn params_after<const N: usize>(&self, before: [Value; N]) -> Params {
        Params::Positional(before.into_iter().chain(self.0.iter().cloned()).collect())
    }

    /// The values, for a statement that has others behind.
    pub(crate) fn into_values(self) -> Vec<Value> {
        self.0
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&placeholders(self.0.len()))
    }
}

/// `?,?,?`
fn placeholders(count: usize) -> String {
    let mut list = "?,".repeat(count);
    list.pop();
    list
}

/// The same rows, and the last one again and again, up to the next length of a list.
pub(crate) fn padded<T: Clone>(mut rows: Vec<T>) -> Vec<T> {
    let count = rows.len();
    let step = LENGTHS[LENGTHS.len() - 1];
    let length = LENGTHS
        .into_iter()
        .find(|length| *length >= count)
        .unwrap_or_else(|| count.next_multiple_of(step));
    if let Some(last) = rows.last().cloned() {
        rows.resize(length, last);
    }
    rows
}

/// The rows of several INSERTs, each of one of a few sizes.
pub(crate) fn in_sizes<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = ROWS.into_iter().find(|size| *size <= rows.len())?;
        let (now, rest) = rows.split_at(size);
        rows = rest;
        Some(now)
    })
}

/// `(?,?),(?,?)`: placeholders for rows of so many columns.
pub(crate) fn row_placeholders(rows: usize, columns: usize) -> String {
    vec![format!("({})", placeholders(columns)); rows].join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_list_is_padded_with_what_it_holds_to_one_of_a_few_lengths() {
        let lengths: HashSet<usize> = (1..=1_000)
            .map(|count| padded(vec![7_u64; count]).len())
            .collect();
        assert_eq!(lengths, HashSet::from(LENGTHS));
        assert_eq!(padded(vec![1, 2, 3]), [1, 2, 3, 3]);
        assert_eq!(padded(vec![0; 4_001]).len(), 5_000);
        assert!(padded(Vec::<u64>::new()).is_empty());
        assert_eq!(List::of([1_u64, 2, 3]).to_string(), "?,?,?,?");
    }

    #[test]
    fn rows_are_inserted_in_order_by_few_statements_of_few_sizes() {
        for count in [0_usize, 1, 511, 512, 513, 9_999, 10_000] {
            let rows: Vec<usize> = (0..count).collect();
            let parts: Vec<&[usize]> = in_sizes(&rows).collect();
            assert!(parts.iter().all(|part| ROWS.contains(&part.len())));
            assert!(parts.len() <= count / 512 + 9, "{count}: {}", parts.len());
            assert_eq!(parts.concat(), rows);
        }
    }
}
