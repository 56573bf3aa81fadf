SET @granary_ddl = IF(
    EXISTS (SELECT 1 FROM information_schema.columns
            WHERE table_schema = DATABASE() AND table_name = 'alert' AND column_name = 'occurrences'),
    'DO 0',
    'ALTER TABLE alert ADD COLUMN occurrences INT UNSIGNED NOT NULL DEFAULT 1, ADD COLUMN last_at DATETIME(6) NULL');
PREPARE granary_ddl FROM @granary_ddl;
EXECUTE granary_ddl;
DEALLOCATE PREPARE granary_ddl
