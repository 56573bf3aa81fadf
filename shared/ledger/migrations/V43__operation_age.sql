SET @granary_ddl = IF(
    EXISTS (SELECT 1 FROM information_schema.statistics
            WHERE table_schema = DATABASE() AND table_name = 'operation' AND index_name = 'operation_age'),
    'DO 0', 'ALTER TABLE operation ADD INDEX operation_age (finished_at)');
PREPARE granary_ddl FROM @granary_ddl;
EXECUTE granary_ddl;
DEALLOCATE PREPARE granary_ddl
