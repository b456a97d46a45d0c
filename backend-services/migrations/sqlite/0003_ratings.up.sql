-- When the player's last counted match ended; 0 before the first. A skill is less sure the longer ago that was.
ALTER TABLE ratings ADD COLUMN played_unix_ms INTEGER NOT NULL DEFAULT 0;
