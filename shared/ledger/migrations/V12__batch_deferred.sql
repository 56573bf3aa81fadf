SET @granary_ddl = IF(
    EXISTS (SELECT 1 FROM information_schema.statistics
            WHERE table_schema = DATABASE() AND table_name = 'batch' AND index_name = 'batch_deferred'),
    'DO 0', 'ALTER TABLE batch ADD INDEX batch_deferred (deferred_since)');
PREPARE granary_ddl FROM @granary_ddl;
EXECUTE granary_ddl;
DEALLOCATE PREPARE granary_ddl
