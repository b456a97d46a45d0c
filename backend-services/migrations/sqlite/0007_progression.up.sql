-- What a player has to show for matches. The achievements are a JSON object from name to progress: they are read and
-- written with their player only.
CREATE TABLE careers (
    player_id       INTEGER PRIMARY KEY REFERENCES accounts (player_id) ON DELETE CASCADE,
    experience      INTEGER NOT NULL,
    matches         INTEGER NOT NULL,
    counted_unix_ms INTEGER NOT NULL,
    achievements    TEXT NOT NULL
) STRICT;
