INSERT IGNORE INTO control (name, setting, changed_at, changed_by)
VALUES ('seal.gate', 'whoever records a page shares it, whoever seals an hour has it alone', UTC_TIMESTAMP(6), 'schema')
