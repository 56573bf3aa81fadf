CREATE TABLE IF NOT EXISTS batch_number (
    id          TINYINT UNSIGNED NOT NULL PRIMARY KEY,
    next_number BIGINT UNSIGNED  NOT NULL COMMENT 'the first batch number that was never given out',
    block_end   BIGINT UNSIGNED  NOT NULL COMMENT 'the last number that may be given out',
    intended_to BIGINT UNSIGNED  NOT NULL COMMENT 'the end of the block that somebody reserves, or reserved',
    CONSTRAINT batch_number_one_row CHECK (id = 1)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4
