CREATE TABLE IF NOT EXISTS window_left_out (
    window_id  BIGINT UNSIGNED NOT NULL COMMENT 'a window whose newest reading has left out an index',
    index_name VARBINARY(255)  NOT NULL COMMENT 'the concrete index',
    PRIMARY KEY (window_id, index_name)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4
