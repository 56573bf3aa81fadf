-- oldest program: 48
-- algorithm: INSTANT
SET @granary_ddl = IF(
    EXISTS (SELECT 1 FROM information_schema.columns
            WHERE table_schema = DATABASE() AND table_name = 'refinery_schema_history' AND column_name = 'oldest_program'),
    'DO 0', 'ALTER TABLE refinery_schema_history ADD COLUMN oldest_program INT UNSIGNED NULL COMMENT ''programs whose newest migration is older may not run on it'', ALGORITHM=INSTANT');
PREPARE granary_ddl FROM @granary_ddl;
EXECUTE granary_ddl;
DEALLOCATE PREPARE granary_ddl
