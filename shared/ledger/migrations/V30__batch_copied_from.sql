SET @granary_ddl = IF(
    EXISTS (SELECT 1 FROM information_schema.columns
            WHERE table_schema = DATABASE() AND table_name = 'batch' AND column_name = 'copied_from'),
    'DO 0', 'ALTER TABLE batch ADD COLUMN copied_from VARCHAR(1024) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL COMMENT ''the adopted object whose lines are exported; NULL: the source has them''');
PREPARE granary_ddl FROM @granary_ddl;
EXECUTE granary_ddl;
DEALLOCATE PREPARE granary_ddl
