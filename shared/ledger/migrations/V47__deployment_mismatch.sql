CREATE TABLE IF NOT EXISTS deployment_mismatch (
    name     VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'a setting of which a function has another value than the ledger',
    value    TEXT        CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'of that function',
    found_at DATETIME(6) NOT NULL COMMENT 'by the newest function that has it',
    PRIMARY KEY (name)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4
