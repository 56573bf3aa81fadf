SET @granary_ddl = IF(
    EXISTS (SELECT 1 FROM information_schema.columns
            WHERE table_schema = DATABASE() AND table_name = 'batch' AND column_name = 'recalled'),
    'DO 0', 'ALTER TABLE batch ADD COLUMN recalled INT UNSIGNED NOT NULL DEFAULT 0 COMMENT ''exceptions that its manifest names and that left for a batch of their own''');
PREPARE granary_ddl FROM @granary_ddl;
EXECUTE granary_ddl;
DEALLOCATE PREPARE granary_ddl
