CREATE TABLE IF NOT EXISTS harvest_deferral (
    migration_id BINARY(16)      NOT NULL,
    window_id    BIGINT UNSIGNED NOT NULL COMMENT '0: the next window, which could not be opened',
    cause        VARCHAR(32)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    reason       VARCHAR(1000)   CHARACTER SET utf8mb4 NOT NULL,
    deferrals    INT UNSIGNED    NOT NULL COMMENT 'in a row',
    since        DATETIME(6)     NOT NULL,
    harvested_to DATETIME(6)     NULL COMMENT 'where the migration stands while its next window can not be opened',
    PRIMARY KEY (migration_id, window_id),
    CONSTRAINT harvest_deferral_stands CHECK ((window_id = 0) = (harvested_to IS NOT NULL))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4
