SET @granary_ddl = IF(
    EXISTS (SELECT 1 FROM information_schema.statistics
            WHERE table_schema = DATABASE() AND table_name = 'batch' AND index_name = 'batch_settled'),
    'DO 0', 'ALTER TABLE batch ADD INDEX batch_settled (settled_at, exported, bytes_stored), ADD INDEX batch_missing (missing, settled_at), ADD INDEX batch_quarantined (quarantined, settled_at)');
PREPARE granary_ddl FROM @granary_ddl;
EXECUTE granary_ddl;
DEALLOCATE PREPARE granary_ddl
