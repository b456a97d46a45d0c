ALTER TABLE ratings DROP COLUMN played_unix_ms;
