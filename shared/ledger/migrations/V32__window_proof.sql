CREATE TABLE IF NOT EXISTS window_proof (
    window_id BIGINT UNSIGNED NOT NULL PRIMARY KEY COMMENT 'a window that was recorded, and whose migration reads everything',
    outcome   VARCHAR(8)      CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'of the newest full verification of all of it',
    as_of     DATETIME(6)     NULL COMMENT 'when that verification began',
    proven_at DATETIME(6)     NULL COMMENT 'when the newest one that proved it began; NULL once a later one fails',
    final_at  DATETIME(6)     NULL COMMENT 'when the first one that proved it after it had settled began',
    source_at VARCHAR(64)     CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'the write-blocked state of the source that proven_at saw',
    asked_at  DATETIME(6)     NULL COMMENT 'when the schedule last asked for a verification',
    asked     INT UNSIGNED    NOT NULL DEFAULT 0 COMMENT 'how often, without an outcome',
    accepted  BOOLEAN         NOT NULL DEFAULT FALSE COMMENT 'whether the proof relies on accepted exceptions',
    KEY window_proof_accepted (accepted),
    KEY window_proof_outcome_known (outcome),
    KEY window_proof_asked (asked),
    KEY window_proof_proven (proven_at),
    KEY window_proof_final (final_at, proven_at),
    CONSTRAINT window_proof_outcome CHECK (outcome IN ('proven', 'waiting', 'failing')),
    CONSTRAINT window_proof_began CHECK ((outcome IS NULL) = (as_of IS NULL))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4
