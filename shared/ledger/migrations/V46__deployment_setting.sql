CREATE TABLE IF NOT EXISTS deployment_setting (
    name        VARCHAR(32)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    number      INT UNSIGNED NOT NULL COMMENT 'the newest counts; those before it are what it was',
    value       TEXT         CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    recorded_at DATETIME(6)  NOT NULL,
    PRIMARY KEY (name, number)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4
