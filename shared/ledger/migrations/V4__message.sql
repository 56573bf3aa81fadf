CREATE TABLE IF NOT EXISTS message (
    message_id VARBINARY(512)  NOT NULL PRIMARY KEY,
    doc_id     VARBINARY(512)  NULL COMMENT 'NULL: the same as message_id',
    index_name VARBINARY(255)  NOT NULL,
    routing    VARBINARY(512)  NULL,
    event_time DATETIME(6)     NOT NULL,
    batch_id   BIGINT UNSIGNED NULL COMMENT 'NULL: nobody owns it',
    outcome    VARCHAR(16)     CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'where it differs from its batch''s',
    reason     VARCHAR(500)    CHARACTER SET utf8mb4 NULL,
    KEY message_batch (batch_id, outcome),
    KEY message_event_time (event_time, batch_id, outcome),
    CONSTRAINT message_unowned CHECK (batch_id IS NOT NULL OR outcome IS NULL),
    CONSTRAINT message_outcome CHECK (outcome IS NULL OR outcome IN ('missing', 'quarantined'))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4
