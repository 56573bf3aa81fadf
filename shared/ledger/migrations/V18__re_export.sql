CREATE TABLE IF NOT EXISTS re_export (
    migration_id BINARY(16)   NOT NULL PRIMARY KEY COMMENT 'it may record messages of sealed hours again',
    allowed_by   VARCHAR(128) CHARACTER SET utf8mb4 NOT NULL,
    allowed_at   DATETIME(6)  NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4
