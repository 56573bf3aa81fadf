CREATE TABLE IF NOT EXISTS probe (
    id          BINARY(16)   NOT NULL PRIMARY KEY,
    queue       VARCHAR(32)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    sent_at     DATETIME(6)  NOT NULL,
    received_at DATETIME(6)  NULL,
    worker      VARCHAR(128) CHARACTER SET ascii NULL,
    KEY probe_sent (sent_at),
    CONSTRAINT probe_arrival CHECK ((received_at IS NULL) = (worker IS NULL))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4
