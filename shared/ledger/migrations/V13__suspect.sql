CREATE TABLE IF NOT EXISTS suspect (
    batch_id   BIGINT UNSIGNED NOT NULL,
    fence      INT UNSIGNED    NOT NULL COMMENT 'the attempt that has the message in hand',
    message_id VARBINARY(512)  NOT NULL,
    named_at   DATETIME(6)     NOT NULL,
    PRIMARY KEY (batch_id, fence)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4
