CREATE TABLE IF NOT EXISTS alert (
    id           BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    kind         VARCHAR(32)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    subject_key  VARCHAR(128)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'what it is about: one row for each',
    cause        VARCHAR(32)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    text         VARCHAR(1000)   CHARACTER SET utf8mb4 NOT NULL,
    created_at   DATETIME(6)     NOT NULL,
    published_at DATETIME(6)     NULL,
    over_at      DATETIME(6)     NULL COMMENT 'when a condition that lasts was over',
    UNIQUE KEY alert_subject (kind, subject_key),
    KEY alert_to_publish (published_at, kind, cause)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4
