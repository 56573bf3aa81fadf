SET @granary_ddl = IF(
    EXISTS (SELECT 1 FROM information_schema.columns
            WHERE table_schema = DATABASE() AND table_name = 'audit' AND column_name = 'request_id'),
    'DO 0', 'ALTER TABLE audit ADD COLUMN request_id VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NULL, ADD COLUMN reason VARCHAR(500) CHARACTER SET utf8mb4 NULL, ADD COLUMN once_key BINARY(32) NULL COMMENT ''of request, action and arguments: written twice is written once'', ADD UNIQUE KEY audit_once (once_key), ADD KEY audit_action (action)');
PREPARE granary_ddl FROM @granary_ddl;
EXECUTE granary_ddl;
DEALLOCATE PREPARE granary_ddl
