-- The next migration as this version imagines it: additive, in an instant, and of no use. Every scenario runs on a schema that has it.
ALTER TABLE batch ADD COLUMN of_tomorrow VARCHAR(64) NULL, ALGORITHM=INSTANT;
ALTER TABLE message ADD COLUMN of_tomorrow INT UNSIGNED NULL, ALGORITHM=INSTANT;
ALTER TABLE harvest_window ADD COLUMN of_tomorrow INT UNSIGNED NOT NULL DEFAULT 7, ALGORITHM=INSTANT;
CREATE TABLE of_tomorrow (number BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, content VARCHAR(64) NOT NULL)
