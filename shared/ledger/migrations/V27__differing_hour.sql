CREATE TABLE IF NOT EXISTS differing_hour (
    hour_start DATETIME(6) NOT NULL PRIMARY KEY COMMENT 'an hour of event time in which a full verification found a difference',
    verdict    VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'that it leads to by itself',
    found_at   DATETIME(6) NOT NULL COMMENT 'when that verification began; one that began later and finds none takes the row away',
    CONSTRAINT differing_hour_verdict CHECK (verdict IN ('INCOMPLETE', 'DRIFTED'))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4
