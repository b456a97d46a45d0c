-- What a game keeps of each player between matches, a JSON object; and who may write it: whoever has the highest fence.
CREATE TABLE player_states (
    player_id     BIGINT NOT NULL REFERENCES accounts (player_id) ON DELETE CASCADE,
    name          TEXT NOT NULL,
    fence         BIGINT NOT NULL,
    holder        TEXT NOT NULL,
    released      BIGINT NOT NULL,
    sequence      BIGINT NOT NULL,
    version       BIGINT NOT NULL,
    document      TEXT,
    saved_unix_ms BIGINT NOT NULL,
    PRIMARY KEY (player_id, name)
);
