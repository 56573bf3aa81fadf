SET @granary_ddl = IF(
    EXISTS (SELECT 1 FROM information_schema.columns
            WHERE table_schema = DATABASE() AND table_name = 'harvest_window' AND column_name = 'reach'),
    'DO 0', 'ALTER TABLE harvest_window
        ADD COLUMN deep_at DATETIME(6) NULL COMMENT ''when the newest deep re-scan was begun, of those that are over'',
        ADD COLUMN is_read_once BOOLEAN NOT NULL DEFAULT FALSE COMMENT ''of a selection, or cancelled: it is never read again'',
        ADD COLUMN read_after BIGINT GENERATED ALWAYS AS
            (IF(is_read_once, NULL, TIMESTAMPDIFF(MICROSECOND, range_to, COALESCE(deep_at, created_at)))) STORED
            COMMENT ''so many microseconds after its end its newest whole reading began'',
        ADD COLUMN reach BIGINT UNSIGNED GENERATED ALWAYS AS (CASE
            WHEN TIMESTAMPDIFF(MICROSECOND, range_from, range_to) <= 3600000000 * 1 THEN 1
            WHEN TIMESTAMPDIFF(MICROSECOND, range_from, range_to) <= 3600000000 * 32 THEN 32
            WHEN TIMESTAMPDIFF(MICROSECOND, range_from, range_to) <= 3600000000 * 1024 THEN 1024
            WHEN TIMESTAMPDIFF(MICROSECOND, range_from, range_to) <= 3600000000 * 32768 THEN 32768
            ELSE 90000000 END) STORED
            COMMENT ''hours: it is not longer than that'',
        ADD KEY harvest_window_reach (reach, range_from),
        ADD KEY harvest_window_read_after (read_after)');
PREPARE granary_ddl FROM @granary_ddl;
EXECUTE granary_ddl;
DEALLOCATE PREPARE granary_ddl
