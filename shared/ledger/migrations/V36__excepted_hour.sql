CREATE TABLE IF NOT EXISTS excepted_hour (
    hour_start DATETIME(6)     NOT NULL COMMENT 'an hour in which the newest full verification found exceptions',
    kind       VARCHAR(16)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    index_name VARBINARY(255)  NOT NULL COMMENT 'the concrete index',
    messages   BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (hour_start, kind, index_name),
    KEY excepted_hour_kind (kind, index_name, hour_start, messages)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4
