SET @granary_ddl = IF(
    EXISTS (SELECT 1 FROM information_schema.statistics
            WHERE table_schema = DATABASE() AND table_name = 'harvest_window' AND index_name = 'harvest_window_time'),
    'DO 0', 'ALTER TABLE harvest_window ADD INDEX harvest_window_time (range_from)');
PREPARE granary_ddl FROM @granary_ddl;
EXECUTE granary_ddl;
DEALLOCATE PREPARE granary_ddl
