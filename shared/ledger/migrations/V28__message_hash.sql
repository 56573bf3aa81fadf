SET @granary_ddl = IF(
    EXISTS (SELECT 1 FROM information_schema.columns
            WHERE table_schema = DATABASE() AND table_name = 'message' AND column_name = 'hash_high'),
    'DO 0', 'ALTER TABLE message
        ADD COLUMN hash_high BIGINT UNSIGNED NOT NULL
            COMMENT ''what digests sum: the first 64 bits of the hash of the id, which its writer computes'',
        ADD COLUMN hash_low BIGINT UNSIGNED NOT NULL COMMENT ''and the next 64'',
        DROP KEY message_batch,
        ADD KEY message_batch (batch_id, outcome, event_time, hash_high, hash_low),
        DROP KEY message_event_time,
        ADD KEY message_event_time (event_time, batch_id, outcome, hash_high, hash_low)');
PREPARE granary_ddl FROM @granary_ddl;
EXECUTE granary_ddl;
DEALLOCATE PREPARE granary_ddl
