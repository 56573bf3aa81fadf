SET @granary_ddl = IF(
    EXISTS (SELECT 1 FROM information_schema.statistics
            WHERE table_schema = DATABASE() AND table_name = 'batch' AND index_name = 'batch_queue'),
    'DO 0', 'ALTER TABLE batch ADD INDEX batch_queue (status, priority, claimed_at), ADD INDEX batch_open_hour (status, hour_start)');
PREPARE granary_ddl FROM @granary_ddl;
EXECUTE granary_ddl;
DEALLOCATE PREPARE granary_ddl
