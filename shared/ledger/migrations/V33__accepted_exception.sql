CREATE TABLE IF NOT EXISTS accepted_exception (
    kind         VARCHAR(16)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    index_name   VARBINARY(255)  NOT NULL COMMENT 'the concrete index',
    max_messages BIGINT UNSIGNED NOT NULL COMMENT 'one more than these is not accepted',
    reason       VARCHAR(500)    CHARACTER SET utf8mb4 NOT NULL,
    accepted_at  DATETIME(6)     NOT NULL,
    accepted_by  VARCHAR(64)     CHARACTER SET utf8mb4 NOT NULL,
    PRIMARY KEY (kind, index_name),
    CONSTRAINT accepted_exception_kind CHECK (kind IN ('without_id', 'quarantined', 'merged_id', 'left_out')),
    CONSTRAINT accepted_exception_max CHECK (max_messages > 0)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4
