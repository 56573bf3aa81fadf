SET @granary_ddl = IF(
    EXISTS (SELECT 1 FROM information_schema.tables
            WHERE table_schema = DATABASE() AND table_name = 'message_status'),
    'DO 0', 'CREATE VIEW message_status AS
        SELECT m.message_id, m.doc_id, m.index_name, m.routing, m.event_time, m.batch_id,
               CASE WHEN m.batch_id IS NULL THEN ''released''
                    WHEN b.status = ''completed'' AND m.outcome IS NOT NULL THEN m.outcome
                    ELSE b.status END AS status,
               CASE WHEN b.status = ''completed'' AND m.outcome IS NULL THEN b.object_key END AS object_key,
               b.attempts, COALESCE(m.reason, b.error_text) AS error_text
        FROM message m
        LEFT JOIN batch b ON b.id = m.batch_id');
PREPARE granary_ddl FROM @granary_ddl;
EXECUTE granary_ddl;
DEALLOCATE PREPARE granary_ddl
