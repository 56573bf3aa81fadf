//! Pages of lists: how many rows were asked for, and whether there are more behind them.
//!
//! What a cursor holds is the list's own business, and what reads the rows is told to read one more than the page has: that
//! one is never shown, and says that there is a next page.

use crate::web::fields::Fields;
use crate::web::problem::Problem;
use utoipa::IntoParams;

const ROWS_DEFAULT: u32 = 50;
const ROWS_MAX: u32 = 500;

/// Which part of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(dead_code, reason = "what the lists read, for the document")]
pub(crate) struct PageQuery {
    /// How many at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
}

/// A number of rows, from 1 on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page(u32);

impl Page {
    /// As the query has it.
    pub(crate) fn read(query: &Fields) -> Result<Self, Problem> {
        Self::read_or(query, ROWS_DEFAULT)
    }

    /// The same, of a list whose pages have another number of rows where none is named.
    pub(crate) fn read_or(query: &Fields, rows_default: u32) -> Result<Self, Problem> {
        Ok(Self(query.number("limit", 1..=ROWS_MAX)?.unwrap_or(rows_default)))
    }

    /// One whose size isn't the query's to say.
    pub(crate) fn of(rows: u32) -> Self {
        Self(rows)
    }

    /// How many rows to read.
    pub(crate) fn rows_to_read(self) -> u32 {
        self.0 + 1
    }

    /// Leaves the rows of this page. The last of them, where there are more behind it.
    pub(crate) fn cut<T>(self, rows: &mut Vec<T>) -> Option<&T> {
        let has_more = rows.len() > self.0 as usize;
        rows.truncate(self.0 as usize);
        rows.last().filter(|_| has_more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_its_last_row_only_where_there_are_more() {
        let page = Page::of(2);
        assert_eq!(page.rows_to_read(), 3);
        for (mut rows, next, left) in [
            (vec![1, 2, 3], Some(2), vec![1, 2]),
            (vec![1, 2], None, vec![1, 2]),
            (vec![], None, vec![]),
        ] {
            assert_eq!(page.cut(&mut rows).copied(), next);
            assert_eq!(rows, left);
        }
    }
}
