SET @granary_ddl = IF(
    EXISTS (SELECT 1 FROM information_schema.columns
            WHERE table_schema = DATABASE() AND table_name = 'audit' AND column_name = 'address'),
    'DO 0', 'ALTER TABLE audit ADD COLUMN address VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT ''of the client''');
PREPARE granary_ddl FROM @granary_ddl;
EXECUTE granary_ddl;
DEALLOCATE PREPARE granary_ddl
