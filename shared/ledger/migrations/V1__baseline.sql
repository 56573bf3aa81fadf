-- oldest program: 1
-- algorithm: NEW TABLE
CREATE TABLE IF NOT EXISTS migration (
    id             BINARY(16)       NOT NULL PRIMARY KEY,
    kind           VARCHAR(16)      CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    state          VARCHAR(16)      CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    paused_at      DATETIME(6)      NULL,
    priority       TINYINT UNSIGNED NOT NULL DEFAULT 0,
    batch_size     INT UNSIGNED     NOT NULL,
    source_filter  MEDIUMTEXT       CHARACTER SET utf8mb4 NULL,
    range_from     DATETIME(6)      NOT NULL,
    range_to       DATETIME(6)      NULL COMMENT 'NULL: without an end',
    harvested_to   DATETIME(6)      NOT NULL COMMENT 'every instant of the range before it is in a window',
    dry_run        BOOLEAN          NOT NULL DEFAULT FALSE,
    requested_by   VARCHAR(128)     CHARACTER SET utf8mb4 NOT NULL,
    verdict        VARCHAR(16)      CHARACTER SET ascii COLLATE ascii_bin NULL,
    verdict_at     DATETIME(6)      NULL,
    only_one       VARCHAR(16)      CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'set where a deployment has one of the kind',
    created_at     DATETIME(6)      NOT NULL,
    finished_at    DATETIME(6)      NULL,
    UNIQUE KEY migration_only_one (only_one),
    KEY migration_state (state, priority),
    CONSTRAINT migration_kind CHECK (kind IN ('continuous', 'backfill', 'selection')),
    CONSTRAINT migration_state_known CHECK (state IN ('open', 'draining', 'completed', 'cancelled')),
    CONSTRAINT migration_priority CHECK (priority <= 9),
    CONSTRAINT migration_range CHECK (range_to IS NULL OR (range_from < range_to AND harvested_to <= range_to)),
    CONSTRAINT migration_harvested CHECK (range_from <= harvested_to),
    CONSTRAINT migration_finished CHECK ((state IN ('completed', 'cancelled')) = (finished_at IS NOT NULL))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS harvest_window (
    id              BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    migration_id    BINARY(16)      NOT NULL,
    range_from      DATETIME(6)     NOT NULL,
    range_to        DATETIME(6)     NOT NULL,
    state           VARCHAR(16)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    found           BIGINT UNSIGNED NOT NULL DEFAULT 0,
    recorded        BIGINT UNSIGNED NOT NULL DEFAULT 0,
    adopted         BIGINT UNSIGNED NOT NULL DEFAULT 0,
    owned_elsewhere BIGINT UNSIGNED NOT NULL DEFAULT 0,
    duplicates      BIGINT UNSIGNED NOT NULL DEFAULT 0,
    without_id      BIGINT UNSIGNED NOT NULL DEFAULT 0,
    bookmark        MEDIUMTEXT      CHARACTER SET utf8mb4 NULL COMMENT 'where the reading of ids goes on',
    pages           INT UNSIGNED    NOT NULL DEFAULT 0,
    batches         INT UNSIGNED    NOT NULL DEFAULT 0,
    rescan          BOOLEAN         NOT NULL DEFAULT FALSE COMMENT 'messages were released behind the bookmark: read it again',
    fence           INT UNSIGNED    NOT NULL DEFAULT 0,
    attempts        INT UNSIGNED    NOT NULL DEFAULT 0,
    holder          VARCHAR(128)    CHARACTER SET ascii NULL,
    lease_until     DATETIME(6)     NULL,
    not_before      DATETIME(6)     NULL,
    error_text      VARCHAR(1000)   CHARACTER SET utf8mb4 NULL,
    created_at      DATETIME(6)     NOT NULL,
    recorded_at     DATETIME(6)     NULL,
    verified_at     DATETIME(6)     NULL COMMENT 'when the last full verification of all of it that was COMPLETE began',
    deep_at         DATETIME(6)     NULL COMMENT 'when the newest deep re-scan was begun, of those that are over',
    is_read_once    BOOLEAN         NOT NULL DEFAULT FALSE COMMENT 'of a selection, or cancelled: it is never read again',
    read_after      BIGINT          GENERATED ALWAYS AS
        (IF(is_read_once, NULL, TIMESTAMPDIFF(MICROSECOND, range_to, COALESCE(deep_at, created_at)))) STORED
        COMMENT 'so many microseconds after its end its newest whole reading began',
    reach           BIGINT UNSIGNED GENERATED ALWAYS AS (CASE
        WHEN TIMESTAMPDIFF(MICROSECOND, range_from, range_to) <= 3600000000 * 1 THEN 1
        WHEN TIMESTAMPDIFF(MICROSECOND, range_from, range_to) <= 3600000000 * 32 THEN 32
        WHEN TIMESTAMPDIFF(MICROSECOND, range_from, range_to) <= 3600000000 * 1024 THEN 1024
        WHEN TIMESTAMPDIFF(MICROSECOND, range_from, range_to) <= 3600000000 * 32768 THEN 32768
        ELSE 90000000 END) STORED
        COMMENT 'hours: it is not longer than that',
    UNIQUE KEY harvest_window_range (migration_id, range_from),
    KEY harvest_window_state (state, not_before),
    KEY harvest_window_time (range_from),
    KEY harvest_window_reach (reach, range_from),
    KEY harvest_window_read_after (read_after),
    CONSTRAINT harvest_window_state_known CHECK (state IN ('open', 'harvesting', 'recorded', 'verified')),
    CONSTRAINT harvest_window_half_open CHECK (range_from < range_to),
    CONSTRAINT harvest_window_held CHECK (state <> 'harvesting' OR (lease_until IS NOT NULL AND holder IS NOT NULL)),
    CONSTRAINT harvest_window_accounted CHECK (found = recorded + adopted + owned_elsewhere + duplicates + without_id),
    CONSTRAINT harvest_window_recorded CHECK (state NOT IN ('recorded', 'verified') OR recorded_at IS NOT NULL)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS batch (
    id             BIGINT UNSIGNED  NOT NULL AUTO_INCREMENT PRIMARY KEY,
    migration_id   BINARY(16)       NOT NULL,
    window_id      BIGINT UNSIGNED  NOT NULL,
    window_ordinal INT UNSIGNED     NOT NULL,
    hour_start     DATETIME         NOT NULL,
    status         VARCHAR(16)      CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'pending',
    priority       TINYINT UNSIGNED NOT NULL DEFAULT 0,
    message_count  INT UNSIGNED     NOT NULL COMMENT 'message rows that it owns',
    digest_high    BIGINT UNSIGNED  NOT NULL COMMENT 'of their ids: the sum of hash_high, modulo 2^64',
    digest_low     BIGINT UNSIGNED  NOT NULL,
    time_from      DATETIME(6)      NULL COMMENT 'the earliest event time of them; NULL: it owns none',
    time_to        DATETIME(6)      NULL COMMENT 'and the latest',
    attempts       INT UNSIGNED     NOT NULL DEFAULT 0,
    fence          INT UNSIGNED     NOT NULL DEFAULT 0,
    generation     INT UNSIGNED     NOT NULL DEFAULT 1,
    holder         VARCHAR(128)     CHARACTER SET ascii NULL,
    claimed_at     DATETIME(6)      NULL,
    lease_until    DATETIME(6)      NULL,
    not_before     DATETIME(6)      NULL,
    enqueued_at    DATETIME(6)      NULL COMMENT 'NULL: to be sent',
    sends          INT UNSIGNED     NOT NULL DEFAULT 0,
    deferrals      INT UNSIGNED     NOT NULL DEFAULT 0 COMMENT 'in a row',
    deferred_since DATETIME(6)      NULL,
    retry_count    INT UNSIGNED     NOT NULL DEFAULT 0 COMMENT 'by operators',
    retried_at     DATETIME(6)      NULL COMMENT 'when an operator last sent it again',
    parked_at      DATETIME(6)      NULL,
    object_key     VARCHAR(1024)    CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    bytes_raw      BIGINT UNSIGNED  NULL,
    bytes_stored   BIGINT UNSIGNED  NULL,
    sha256         BINARY(32)       NULL,
    exported       INT UNSIGNED     NULL,
    missing        INT UNSIGNED     NULL,
    quarantined    INT UNSIGNED     NULL,
    recalled       INT UNSIGNED     NOT NULL DEFAULT 0 COMMENT 'exceptions that its manifest names and that left for a batch of their own',
    copied_from    VARCHAR(1024)    CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL COMMENT 'the adopted object whose lines are exported; NULL: the source has them',
    error_code     VARCHAR(32)      CHARACTER SET ascii NULL,
    error_text     VARCHAR(1000)    CHARACTER SET utf8mb4 NULL,
    created_at     DATETIME(6)      NOT NULL,
    settled_at     DATETIME(6)      NULL,
    UNIQUE KEY batch_in_window (window_id, window_ordinal),
    KEY batch_to_send (status, enqueued_at, not_before),
    KEY batch_lease (status, lease_until),
    KEY batch_migration (migration_id, status),
    KEY batch_hour (hour_start, status, message_count, exported, missing, quarantined),
    KEY batch_open_hour (status, hour_start, message_count),
    KEY batch_status (status, message_count, parked_at, bytes_stored),
    KEY batch_queue (status, priority, claimed_at),
    KEY batch_cause (status, error_code, parked_at),
    KEY batch_deferred (deferred_since),
    KEY batch_settled (settled_at, exported, bytes_stored),
    KEY batch_missing (missing, settled_at),
    KEY batch_quarantined (quarantined, settled_at),
    CONSTRAINT batch_status_known CHECK (status IN ('pending', 'in_progress', 'completed', 'failed', 'cancelled')),
    CONSTRAINT batch_times CHECK ((message_count = 0) = (time_from IS NULL) AND (time_from IS NULL) = (time_to IS NULL) AND (time_from IS NULL OR time_from <= time_to)),
    CONSTRAINT batch_generation CHECK (generation >= 1),
    CONSTRAINT batch_held CHECK (status <> 'in_progress' OR (holder IS NOT NULL AND lease_until IS NOT NULL AND attempts >= 1 AND fence >= 1)),
    CONSTRAINT batch_settled CHECK (status <> 'completed'
        OR (settled_at IS NOT NULL AND exported + missing + quarantined = message_count
            AND exported IS NOT NULL AND missing IS NOT NULL AND quarantined IS NOT NULL)),
    CONSTRAINT batch_object CHECK (status <> 'completed' OR (exported = 0) = (object_key IS NULL)),
    CONSTRAINT batch_checksum CHECK (object_key IS NULL OR (sha256 IS NOT NULL AND bytes_raw IS NOT NULL AND bytes_stored IS NOT NULL)),
    CONSTRAINT batch_error CHECK (status <> 'failed' OR error_code IS NOT NULL),
    CONSTRAINT batch_parked CHECK (parked_at IS NULL OR status = 'failed')
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS source_index (
    id   INT UNSIGNED   NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name VARBINARY(255) NOT NULL COMMENT 'a concrete index that a message was seen in',
    UNIQUE KEY source_index_name (name)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS message (
    batch_id   BIGINT UNSIGNED NOT NULL COMMENT 'its owner; one that is cancelled owns nothing: the message is unowned',
    hash_high  BIGINT UNSIGNED NOT NULL COMMENT 'the first 64 bits of the SHA-256 of the id, which the writer computes',
    hash_low   BIGINT UNSIGNED NOT NULL COMMENT 'and the next 64',
    message_id VARBINARY(512)  NOT NULL,
    doc_id     VARBINARY(512)  NULL COMMENT 'NULL: the same as message_id',
    index_id   INT UNSIGNED    NOT NULL,
    routing    VARBINARY(512)  NULL,
    event_time DATETIME(6)     NOT NULL COMMENT 'within the hour of its batch',
    outcome    VARCHAR(16)     CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'where it differs from its batch''s',
    reason     VARCHAR(500)    CHARACTER SET utf8mb4 NULL,
    PRIMARY KEY (batch_id, hash_high, hash_low),
    UNIQUE KEY message_hash (hash_high, hash_low),
    CONSTRAINT message_outcome CHECK (outcome IS NULL OR outcome IN ('missing', 'quarantined'))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS attempt (
    batch_id   BIGINT UNSIGNED NOT NULL,
    number     INT UNSIGNED    NOT NULL COMMENT 'the fence it ran under',
    generation INT UNSIGNED    NOT NULL,
    worker     VARCHAR(128)    CHARACTER SET ascii NOT NULL,
    started_at DATETIME(6)     NOT NULL,
    ended_at   DATETIME(6)     NULL,
    outcome    VARCHAR(16)     CHARACTER SET ascii COLLATE ascii_bin NULL,
    error_code VARCHAR(32)     CHARACTER SET ascii NULL,
    error_text VARCHAR(1000)   CHARACTER SET utf8mb4 NULL,
    timings    TEXT            CHARACTER SET utf8mb4 NULL COMMENT 'JSON: milliseconds by phase',
    PRIMARY KEY (batch_id, number),
    KEY attempt_ended (ended_at, outcome),
    CONSTRAINT attempt_outcome CHECK (outcome IS NULL OR outcome IN ('completed', 'failed', 'deferred', 'handed_back', 'reaped', 'cancelled')),
    CONSTRAINT attempt_ends_once CHECK ((ended_at IS NULL) = (outcome IS NULL))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS operation (
    id           BINARY(16)    NOT NULL PRIMARY KEY,
    kind         VARCHAR(32)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    state        VARCHAR(16)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'waiting',
    arguments    MEDIUMTEXT    CHARACTER SET utf8mb4 NOT NULL COMMENT 'JSON',
    progress     MEDIUMTEXT    CHARACTER SET utf8mb4 NULL COMMENT 'JSON: where the next slice goes on',
    result       MEDIUMTEXT    CHARACTER SET utf8mb4 NULL COMMENT 'JSON',
    error_text   VARCHAR(1000) CHARACTER SET utf8mb4 NULL,
    failures     INT UNSIGNED  NOT NULL DEFAULT 0 COMMENT 'slices that failed in a row',
    requested_by VARCHAR(128)  CHARACTER SET utf8mb4 NOT NULL,
    fence        INT UNSIGNED  NOT NULL DEFAULT 0,
    lease_until  DATETIME(6)   NULL,
    created_at   DATETIME(6)   NOT NULL,
    updated_at   DATETIME(6)   NOT NULL,
    finished_at  DATETIME(6)   NULL,
    KEY operation_state (state, lease_until),
    KEY operation_kind (kind, created_at),
    KEY operation_age (finished_at),
    CONSTRAINT operation_state_known CHECK (state IN ('waiting', 'running', 'succeeded', 'failed', 'cancelled')),
    CONSTRAINT operation_finished CHECK ((state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
    CONSTRAINT operation_result CHECK (state <> 'succeeded' OR result IS NOT NULL),
    CONSTRAINT operation_error CHECK (state <> 'failed' OR error_text IS NOT NULL)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS alert (
    id           BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    kind         VARCHAR(32)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    subject_key  VARCHAR(128)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'what it is about: one row for each',
    cause        VARCHAR(32)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    text         VARCHAR(1000)   CHARACTER SET utf8mb4 NOT NULL,
    created_at   DATETIME(6)     NOT NULL,
    published_at DATETIME(6)     NULL,
    over_at      DATETIME(6)     NULL COMMENT 'when a condition that lasts was over',
    occurrences  INT UNSIGNED    NOT NULL DEFAULT 1,
    last_at      DATETIME(6)     NULL,
    UNIQUE KEY alert_subject (kind, subject_key),
    KEY alert_to_publish (published_at, kind, cause),
    KEY alert_age (created_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS audit (
    id        BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at        DATETIME(6)     NOT NULL,
    who       VARCHAR(128)    CHARACTER SET utf8mb4 NOT NULL,
    action    VARCHAR(64)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    arguments MEDIUMTEXT      CHARACTER SET utf8mb4 NOT NULL COMMENT 'JSON',
    effect    MEDIUMTEXT      CHARACTER SET utf8mb4 NULL COMMENT 'JSON',
    reason    VARCHAR(500)    CHARACTER SET utf8mb4 NULL,
    address   VARCHAR(64)     CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'of the client',
    request_id VARCHAR(128)   CHARACTER SET ascii COLLATE ascii_bin NULL,
    once_key  BINARY(32)      NULL COMMENT 'of request, action and arguments: written twice is written once',
    UNIQUE KEY audit_once (once_key),
    KEY audit_at (at),
    KEY audit_action (action)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS control (
    name       VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    setting    VARCHAR(255) CHARACTER SET utf8mb4 NOT NULL,
    changed_at DATETIME(6)  NOT NULL,
    changed_by VARCHAR(128) CHARACTER SET utf8mb4 NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

INSERT IGNORE INTO control (name, setting, changed_at, changed_by)
VALUES ('seal.gate', 'who records a page shares it, who seals an hour has it alone', UTC_TIMESTAMP(6), 'schema');

SET @granary_ddl = IF(
    EXISTS (SELECT 1 FROM information_schema.tables
            WHERE table_schema = DATABASE() AND table_name = 'message_status'),
    'DO 0', 'CREATE VIEW message_status AS
        SELECT m.message_id, m.doc_id, i.name AS index_name, m.routing, m.event_time, b.id AS batch_id,
               CASE WHEN b.id IS NULL THEN ''released''
                    WHEN b.status = ''completed'' AND m.outcome IS NOT NULL THEN m.outcome
                    ELSE b.status END AS status,
               CASE WHEN b.status = ''completed'' AND m.outcome IS NULL THEN b.object_key END AS object_key,
               b.attempts, COALESCE(m.reason, b.error_text) AS error_text
        FROM message m
        LEFT JOIN source_index i ON i.id = m.index_id
        LEFT JOIN batch b ON b.id = m.batch_id AND b.status <> ''cancelled''');
PREPARE granary_ddl FROM @granary_ddl;
EXECUTE granary_ddl;
DEALLOCATE PREPARE granary_ddl;

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
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS suspect (
    batch_id   BIGINT UNSIGNED NOT NULL,
    fence      INT UNSIGNED    NOT NULL COMMENT 'the attempt that has the message in hand',
    message_id VARBINARY(512)  NOT NULL,
    named_at   DATETIME(6)     NOT NULL,
    PRIMARY KEY (batch_id, fence)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS superseded_object (
    batch_id   BIGINT UNSIGNED NOT NULL,
    fence      INT UNSIGNED    NOT NULL COMMENT 'the batch''s when it was asked for: asking twice is asking once',
    generation INT UNSIGNED    NOT NULL,
    hour_start DATETIME        NOT NULL,
    object_key VARCHAR(1024)   CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL COMMENT 'on record until the batch is completed again',
    exported   INT UNSIGNED    NOT NULL COMMENT 'messages in it',
    reason     VARCHAR(500)    CHARACTER SET utf8mb4 NOT NULL,
    asked_at   DATETIME(6)     NOT NULL,
    removed_at DATETIME(6)     NULL COMMENT 'NULL: to be removed once the batch is completed again',
    kept_at    DATETIME(6)     NULL COMMENT 'it was not removed, because it holds messages that are on record nowhere else',
    PRIMARY KEY (batch_id, fence),
    KEY superseded_object_removed (removed_at, batch_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS window_scan (
    window_id     BIGINT UNSIGNED NOT NULL PRIMARY KEY COMMENT 'a window that was recorded and is, or was, read again',
    kind          VARCHAR(8)      CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'of the newest re-scan',
    scans         INT UNSIGNED    NOT NULL DEFAULT 0 COMMENT 're-scans that are over',
    started_at    DATETIME(6)     NOT NULL COMMENT 'when the newest re-scan was begun',
    read_at       DATETIME(6)     NULL COMMENT 'when the newest re-scan that read every id was begun, of those that are over',
    first_page    INT UNSIGNED    NOT NULL COMMENT 'pages of the window when the newest re-scan was begun',
    first_ordinal INT UNSIGNED    NOT NULL COMMENT 'the ordinal of the first batch that the newest re-scan may make',
    was_verified  BOOLEAN         NOT NULL COMMENT 'and is again if the newest re-scan finds nothing new',
    late_count    BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'messages that only a re-scan has seen',
    late_secs_low BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'the latest of them came at least so long after its event time',
    late_secs     BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'and at most so long',
    late_at       DATETIME(6)     NULL COMMENT 'when the last of them was recorded',
    KEY window_scan_started (started_at),
    KEY window_scan_late (late_at),
    CONSTRAINT window_scan_kind CHECK (kind IN ('overlap', 'deep')),
    CONSTRAINT window_scan_late CHECK ((late_count = 0) = (late_at IS NULL) AND late_secs_low <= late_secs)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS measurement (
    name        VARCHAR(64)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    amount      BIGINT UNSIGNED NOT NULL,
    measured_at DATETIME(6)     NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS sealed_range (
    id              BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    range_from      DATETIME        NOT NULL COMMENT 'the first instant of an hour of event time',
    range_to        DATETIME        NOT NULL,
    last_batch_id   BIGINT UNSIGNED NOT NULL COMMENT 'batches of the hour up to this number are sealed; later ones are not',
    windows         TEXT            CHARACTER SET ascii NOT NULL COMMENT 'JSON: the verified windows that cover it',
    messages        BIGINT UNSIGNED NOT NULL,
    exported        BIGINT UNSIGNED NOT NULL,
    missing         BIGINT UNSIGNED NOT NULL,
    quarantined     BIGINT UNSIGNED NOT NULL,
    batches         BIGINT UNSIGNED NOT NULL,
    objects         BIGINT UNSIGNED NOT NULL,
    bytes_stored    BIGINT UNSIGNED NOT NULL,
    digest_high     BIGINT UNSIGNED NOT NULL COMMENT 'of the exported ids, summed from message rows',
    digest_low      BIGINT UNSIGNED NOT NULL,
    sealed_at       DATETIME(6)     NOT NULL,
    sealed_by       VARCHAR(128)    CHARACTER SET utf8mb4 NOT NULL,
    purged_at       DATETIME(6)     NULL COMMENT 'NULL: some of its rows are still there',
    UNIQUE KEY sealed_range_hour (range_from, last_batch_id),
    CONSTRAINT sealed_range_half_open CHECK (range_from < range_to),
    CONSTRAINT sealed_range_accounted CHECK (messages = exported + missing + quarantined)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS re_export (
    migration_id BINARY(16)   NOT NULL PRIMARY KEY COMMENT 'it may record messages of sealed hours again',
    allowed_by   VARCHAR(128) CHARACTER SET utf8mb4 NOT NULL,
    allowed_at   DATETIME(6)  NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS probe (
    id          BINARY(16)   NOT NULL PRIMARY KEY,
    queue       VARCHAR(32)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    sent_at     DATETIME(6)  NOT NULL,
    received_at DATETIME(6)  NULL,
    worker      VARCHAR(128) CHARACTER SET ascii NULL,
    KEY probe_sent (sent_at),
    CONSTRAINT probe_arrival CHECK ((received_at IS NULL) = (worker IS NULL))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS differing_hour (
    hour_start DATETIME(6) NOT NULL PRIMARY KEY COMMENT 'an hour of event time in which a full verification found a difference',
    verdict    VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'that it leads to by itself',
    found_at   DATETIME(6) NOT NULL COMMENT 'when that verification began; one that began later and finds none takes the row away',
    CONSTRAINT differing_hour_verdict CHECK (verdict IN ('INCOMPLETE', 'DRIFTED'))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS batch_number (
    id          TINYINT UNSIGNED NOT NULL PRIMARY KEY,
    next_number BIGINT UNSIGNED  NOT NULL COMMENT 'the first batch number that was never given out',
    block_end   BIGINT UNSIGNED  NOT NULL COMMENT 'the last number that may be given out',
    intended_to BIGINT UNSIGNED  NOT NULL COMMENT 'the end of the block that was reserved last',
    CONSTRAINT batch_number_one_row CHECK (id = 1)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS window_proof (
    window_id BIGINT UNSIGNED NOT NULL PRIMARY KEY COMMENT 'a window that was recorded, and whose migration reads everything',
    outcome   VARCHAR(8)      CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'of the newest full verification of all of it',
    as_of     DATETIME(6)     NULL COMMENT 'when that verification began',
    proven_at DATETIME(6)     NULL COMMENT 'when the newest one that proved it began; NULL once a later one fails',
    final_at  DATETIME(6)     NULL COMMENT 'when the first one that proved it after it had settled began',
    source_at VARCHAR(64)     CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'the write-blocked state of the source that proven_at saw',
    asked_at  DATETIME(6)     NULL COMMENT 'when the schedule last asked for a verification',
    asked     INT UNSIGNED    NOT NULL DEFAULT 0 COMMENT 'how often, without an outcome',
    accepted  BOOLEAN         NOT NULL DEFAULT FALSE COMMENT 'whether the proof relies on accepted exceptions',
    KEY window_proof_accepted (accepted),
    KEY window_proof_outcome_known (outcome),
    KEY window_proof_asked (asked),
    KEY window_proof_proven (proven_at),
    KEY window_proof_final (final_at, proven_at),
    CONSTRAINT window_proof_outcome CHECK (outcome IN ('proven', 'waiting', 'failing')),
    CONSTRAINT window_proof_began CHECK ((outcome IS NULL) = (as_of IS NULL))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS accepted_exception (
    kind         VARCHAR(16)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    index_name   VARBINARY(255)  NOT NULL COMMENT 'the concrete index',
    max_messages BIGINT UNSIGNED NOT NULL COMMENT 'one more than these is not accepted',
    reason       VARCHAR(500)    CHARACTER SET utf8mb4 NOT NULL,
    accepted_at  DATETIME(6)     NOT NULL,
    accepted_by  VARCHAR(64)     CHARACTER SET utf8mb4 NOT NULL,
    PRIMARY KEY (kind, index_name),
    CONSTRAINT accepted_exception_kind CHECK (kind IN ('without_id', 'quarantined', 'merged_id', 'left_out')),
    CONSTRAINT accepted_exception_max CHECK (max_messages > 0)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS window_left_out (
    window_id  BIGINT UNSIGNED NOT NULL COMMENT 'a window whose newest reading has left out an index',
    index_name VARBINARY(255)  NOT NULL COMMENT 'the concrete index',
    PRIMARY KEY (window_id, index_name)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS excepted_hour (
    hour_start DATETIME(6)     NOT NULL COMMENT 'an hour in which the newest full verification found exceptions',
    kind       VARCHAR(16)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    index_name VARBINARY(255)  NOT NULL COMMENT 'the concrete index',
    messages   BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (hour_start, kind, index_name),
    KEY excepted_hour_kind (kind, index_name, hour_start, messages)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS deployment_setting (
    name        VARCHAR(32)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    number      INT UNSIGNED NOT NULL COMMENT 'the newest counts; those before it are what it was',
    value       TEXT         CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    recorded_at DATETIME(6)  NOT NULL,
    PRIMARY KEY (name, number)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS deployment_mismatch (
    name     VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'a setting of which a function has another value than the ledger',
    value    TEXT        CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'of that function',
    found_at DATETIME(6) NOT NULL COMMENT 'by the newest function that has it',
    PRIMARY KEY (name)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4
