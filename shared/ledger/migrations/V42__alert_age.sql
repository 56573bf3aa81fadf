SET @granary_ddl = IF(
    EXISTS (SELECT 1 FROM information_schema.statistics
            WHERE table_schema = DATABASE() AND table_name = 'alert' AND index_name = 'alert_age'),
    'DO 0', 'ALTER TABLE alert ADD INDEX alert_age (created_at)');
PREPARE granary_ddl FROM @granary_ddl;
EXECUTE granary_ddl;
DEALLOCATE PREPARE granary_ddl
