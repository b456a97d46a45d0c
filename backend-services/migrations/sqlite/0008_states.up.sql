-- What a game keeps of each player between matches, a JSON object; and who may write it: whoever has the highest fence.
CREATE TABLE player_states (
    player_id     INTEGER NOT NULL REFERENCES accounts (player_id) ON DELETE CASCADE,
    name          TEXT NOT NULL,
    fence         INTEGER NOT NULL,
    holder        TEXT NOT NULL,
    released      INTEGER NOT NULL,
    sequence      INTEGER NOT NULL,
    version       INTEGER NOT NULL,
    document      TEXT,
    saved_unix_ms INTEGER NOT NULL,
    PRIMARY KEY (player_id, name)
) STRICT;
