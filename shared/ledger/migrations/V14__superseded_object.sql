CREATE TABLE IF NOT EXISTS superseded_object (
    batch_id   BIGINT UNSIGNED NOT NULL,
    fence      INT UNSIGNED    NOT NULL COMMENT 'the batch''s when it was asked for: asking twice is asking once',
    generation INT UNSIGNED    NOT NULL,
    hour_start DATETIME        NOT NULL,
    object_key VARCHAR(1024)   CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL COMMENT 'on record until the batch is completed again',
    exported   INT UNSIGNED    NOT NULL COMMENT 'messages in it',
    reason     VARCHAR(500)    CHARACTER SET utf8mb4 NOT NULL,
    asked_at   DATETIME(6)     NOT NULL,
    removed_at DATETIME(6)     NULL COMMENT 'NULL: to be removed once the batch is completed again',
    kept_at    DATETIME(6)     NULL COMMENT 'it was not removed, because it holds messages that are on record nowhere else',
    PRIMARY KEY (batch_id, fence),
    KEY superseded_object_removed (removed_at, batch_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4
