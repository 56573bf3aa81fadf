//! What the ledger's user may do in its database, as far as the server's dictionary tells it.
//!
//! Rights that come by a role aren't all in there: what is missing here may be there all the same. Nothing is changed.

use crate::{Ledger, LedgerError};

/// What reading, writing and bringing the schema up to date take.
pub const RIGHTS_NEEDED: [&str; 8] = [
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "CREATE",
    "CREATE VIEW",
    "ALTER",
    "INDEX",
];

impl Ledger {
    /// The rights that it needs and doesn't seem to have.
    pub async fn missing_rights(&self) -> Result<Vec<&'static str>, LedgerError> {
        let granted: Vec<String> = self
            .read("look up its rights", |mut reader| async move {
                // The name of a database in a grant is a pattern. A user's name stands in quotes there.
                reader
                    .rows(
                        "SELECT privilege_type FROM information_schema.user_privileges \
                         UNION SELECT privilege_type FROM information_schema.schema_privileges \
                         WHERE DATABASE() LIKE table_schema",
                        (),
                    )
                    .await
            })
            .await?;
        let is_missing = |right: &&str| !granted.iter().any(|granted| granted.eq_ignore_ascii_case(right));
        Ok(RIGHTS_NEEDED.into_iter().filter(is_missing).collect())
    }
}
