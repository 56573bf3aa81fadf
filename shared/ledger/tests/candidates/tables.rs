//! The candidates.

/// A way of keeping messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    pub(crate) name: &'static str,
    pub(crate) tables: &'static [&'static str],
    /// Of the table `message`, as they are inserted.
    pub(crate) columns: &'static [&'static str],
    /// Reads a batch.
    pub(crate) read: &'static str,
    /// Writes a batch's ids elsewhere.
    pub(crate) block: Option<&'static str>,
}

/// Reads a batch where the index is a number.
const READ_BY_NUMBER: &str =
    "SELECT message_id, doc_id, index_id, routing, outcome, reason FROM message WHERE batch_id = ?";

pub(crate) const CANDIDATES: [Candidate; 5] = [
    Candidate {
        name: "by id, two more indexes",
        tables: &[
            "CREATE TABLE message (message_id VARBINARY(512) NOT NULL PRIMARY KEY, doc_id VARBINARY(512) NULL, \
             index_name VARBINARY(255) NOT NULL, routing VARBINARY(512) NULL, event_time DATETIME(6) NOT NULL, \
             batch_id BIGINT UNSIGNED NULL, outcome VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NULL, \
             reason VARCHAR(500) CHARACTER SET utf8mb4 NULL, hash_high BIGINT UNSIGNED NOT NULL, hash_low BIGINT UNSIGNED NOT NULL, \
             KEY message_batch (batch_id, outcome, event_time, hash_high, hash_low), \
             KEY message_event_time (event_time, batch_id, outcome, hash_high, hash_low)) ENGINE = InnoDB",
        ],
        columns: &[
            "message_id",
            "index_name",
            "event_time",
            "batch_id",
            "hash_high",
            "hash_low",
        ],
        read: "SELECT message_id, doc_id, index_name, routing, outcome, reason FROM message WHERE batch_id = ?",
        block: None,
    },
    Candidate {
        name: "by batch and number",
        tables: &[
            "CREATE TABLE message (batch_id BIGINT UNSIGNED NOT NULL, n INT UNSIGNED NOT NULL, hash_high BIGINT UNSIGNED NOT NULL, \
             hash_low BIGINT UNSIGNED NOT NULL, message_id VARBINARY(512) NOT NULL, doc_id VARBINARY(512) NULL, \
             index_id INT UNSIGNED NOT NULL, routing VARBINARY(512) NULL, event_time DATETIME(6) NOT NULL, \
             outcome VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NULL, reason VARCHAR(500) CHARACTER SET utf8mb4 NULL, \
             PRIMARY KEY (batch_id, n), UNIQUE KEY message_hash (hash_high, hash_low)) ENGINE = InnoDB",
        ],
        columns: &[
            "batch_id",
            "n",
            "hash_high",
            "hash_low",
            "message_id",
            "index_id",
            "event_time",
        ],
        read: READ_BY_NUMBER,
        block: None,
    },
    Candidate {
        name: "by batch and hash",
        tables: &[
            "CREATE TABLE message (batch_id BIGINT UNSIGNED NOT NULL, hash_high BIGINT UNSIGNED NOT NULL, \
             hash_low BIGINT UNSIGNED NOT NULL, message_id VARBINARY(512) NOT NULL, doc_id VARBINARY(512) NULL, \
             index_id INT UNSIGNED NOT NULL, routing VARBINARY(512) NULL, event_time DATETIME(6) NOT NULL, \
             outcome VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NULL, reason VARCHAR(500) CHARACTER SET utf8mb4 NULL, \
             PRIMARY KEY (batch_id, hash_high, hash_low), UNIQUE KEY message_hash (hash_high, hash_low)) ENGINE = InnoDB",
        ],
        columns: &[
            "batch_id",
            "hash_high",
            "hash_low",
            "message_id",
            "index_id",
            "event_time",
        ],
        read: READ_BY_NUMBER,
        block: None,
    },
    Candidate {
        name: "by hash, an index of batches",
        tables: &[
            "CREATE TABLE message (hash_high BIGINT UNSIGNED NOT NULL, hash_low BIGINT UNSIGNED NOT NULL, \
             batch_id BIGINT UNSIGNED NOT NULL, message_id VARBINARY(512) NOT NULL, doc_id VARBINARY(512) NULL, \
             index_id INT UNSIGNED NOT NULL, routing VARBINARY(512) NULL, event_time DATETIME(6) NOT NULL, \
             outcome VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NULL, reason VARCHAR(500) CHARACTER SET utf8mb4 NULL, \
             PRIMARY KEY (hash_high, hash_low), KEY message_batch (batch_id)) ENGINE = InnoDB",
        ],
        columns: &[
            "hash_high",
            "hash_low",
            "batch_id",
            "message_id",
            "index_id",
            "event_time",
        ],
        read: READ_BY_NUMBER,
        block: None,
    },
    Candidate {
        name: "hash to batch, ids in a block of each batch",
        tables: &[
            "CREATE TABLE message (hash_high BIGINT UNSIGNED NOT NULL, hash_low BIGINT UNSIGNED NOT NULL, \
             batch_id BIGINT UNSIGNED NOT NULL, PRIMARY KEY (hash_high, hash_low), KEY message_batch (batch_id)) ENGINE = InnoDB",
            "CREATE TABLE message_block (batch_id BIGINT UNSIGNED NOT NULL PRIMARY KEY, ids MEDIUMBLOB NOT NULL) ENGINE = InnoDB",
        ],
        columns: &["hash_high", "hash_low", "batch_id"],
        read: "SELECT UNCOMPRESS(ids) FROM message_block WHERE batch_id = ?",
        block: Some("INSERT INTO message_block (batch_id, ids) VALUES (?, COMPRESS(?))"),
    },
];
