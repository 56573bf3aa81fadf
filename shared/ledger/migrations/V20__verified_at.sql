SET @granary_ddl = IF(
    EXISTS (SELECT 1 FROM information_schema.columns
            WHERE table_schema = DATABASE() AND table_name = 'harvest_window' AND column_name = 'verified_at'),
    'DO 0', 'ALTER TABLE harvest_window ADD COLUMN verified_at DATETIME(6) NULL COMMENT ''when the last full verification of all of it that was COMPLETE began''');
PREPARE granary_ddl FROM @granary_ddl;
EXECUTE granary_ddl;
DEALLOCATE PREPARE granary_ddl
