CREATE TABLE IF NOT EXISTS window_scan (
    window_id     BIGINT UNSIGNED NOT NULL PRIMARY KEY COMMENT 'a window that was recorded and is, or was, read again',
    kind          VARCHAR(8)      CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'of the newest re-scan',
    scans         INT UNSIGNED    NOT NULL DEFAULT 0 COMMENT 're-scans that are over',
    started_at    DATETIME(6)     NOT NULL COMMENT 'when the newest re-scan was begun',
    read_at       DATETIME(6)     NULL COMMENT 'when the newest re-scan that read every id was begun, of those that are over',
    first_page    INT UNSIGNED    NOT NULL COMMENT 'pages of the window when the newest re-scan was begun',
    first_ordinal INT UNSIGNED    NOT NULL COMMENT 'the ordinal of the first batch that the newest re-scan may make',
    was_verified  BOOLEAN         NOT NULL COMMENT 'and is again if the newest re-scan finds nothing new',
    late_count    BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'messages that only a re-scan has seen',
    late_secs_low BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'the latest of them came at least so long after its event time',
    late_secs     BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'and at most so long',
    late_at       DATETIME(6)     NULL COMMENT 'when the last of them was recorded',
    KEY window_scan_started (started_at),
    KEY window_scan_late (late_at),
    CONSTRAINT window_scan_kind CHECK (kind IN ('overlap', 'deep')),
    CONSTRAINT window_scan_late CHECK ((late_count = 0) = (late_at IS NULL) AND late_secs_low <= late_secs)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4
