//! Where the canary is searched for when a stage ends: in what its functions logged and answered, in what the command line
//! printed, in messages of queues, in alerts, and in the ledger.

use super::Stage;
use super::canary::{COLUMNS_WITH_TEXT, Search, texts_of};
use tokio::sync::OnceCell;

/// All ledgers have the same schema.
static TEXTS: OnceCell<String> = OnceCell::const_new();

impl Stage {
    /// Nothing says what a message says.
    pub(super) async fn assert_discreet(&self) {
        let leaks = self.leaks().await;
        assert!(
            leaks.is_empty(),
            "{}: the content of messages leaks: {leaks:#?}",
            self.id
        );
    }

    /// Where something says it, for the end of a scenario: what is left in the queues is received.
    pub(crate) async fn leaks(&self) -> Vec<String> {
        self.queues.receive_the_rest().await;
        let search = Search::of(&self.indices.values);
        let mut leaks = self.heard.leaks(&search);
        let statement = TEXTS.get_or_init(async || {
            let columns: Vec<(String, String)> = self.rows(COLUMNS_WITH_TEXT).await;
            assert!(!columns.is_empty(), "a ledger has columns");
            texts_of(&columns)
        });
        let texts: Vec<(String, Vec<u8>)> = self.rows(statement.await).await;
        leaks.extend(
            texts
                .iter()
                .filter_map(|(table, text)| search.leak(&format!("the table {table}"), text)),
        );
        leaks
    }
}
