SET @granary_ddl = IF(
    EXISTS (SELECT 1 FROM information_schema.columns
            WHERE table_schema = DATABASE() AND table_name = 'batch' AND column_name = 'retried_at'),
    'DO 0', 'ALTER TABLE batch ADD COLUMN retried_at DATETIME(6) NULL COMMENT ''when an operator last sent it again''');
PREPARE granary_ddl FROM @granary_ddl;
EXECUTE granary_ddl;
DEALLOCATE PREPARE granary_ddl
