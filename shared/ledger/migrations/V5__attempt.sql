CREATE TABLE IF NOT EXISTS attempt (
    batch_id   BIGINT UNSIGNED NOT NULL,
    number     INT UNSIGNED    NOT NULL COMMENT 'the fence it ran under',
    generation INT UNSIGNED    NOT NULL,
    worker     VARCHAR(128)    CHARACTER SET ascii NOT NULL,
    started_at DATETIME(6)     NOT NULL,
    ended_at   DATETIME(6)     NULL,
    outcome    VARCHAR(16)     CHARACTER SET ascii COLLATE ascii_bin NULL,
    error_code VARCHAR(32)     CHARACTER SET ascii NULL,
    error_text VARCHAR(1000)   CHARACTER SET utf8mb4 NULL,
    timings    TEXT            CHARACTER SET utf8mb4 NULL COMMENT 'JSON: milliseconds by phase',
    PRIMARY KEY (batch_id, number),
    KEY attempt_ended (ended_at, outcome),
    CONSTRAINT attempt_outcome CHECK (outcome IS NULL OR outcome IN ('completed', 'failed', 'deferred', 'handed_back', 'reaped', 'cancelled')),
    CONSTRAINT attempt_ends_once CHECK ((ended_at IS NULL) = (outcome IS NULL))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4
