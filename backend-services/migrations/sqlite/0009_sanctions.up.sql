-- Who is banned now, or was: over once its time is. And every sanction ever, in one order: the audit, and what game servers
-- are told. The counter's row lock makes numbers become visible in their order, which a sequence does not.
CREATE TABLE bans (
    player_id     INTEGER PRIMARY KEY REFERENCES accounts (player_id) ON DELETE CASCADE,
    until_unix_ms INTEGER,
    reason        TEXT NOT NULL,
    at_unix_ms    INTEGER NOT NULL
) STRICT;
CREATE TABLE sanctions (
    number        INTEGER PRIMARY KEY,
    player_id     INTEGER NOT NULL,
    kind          TEXT NOT NULL,
    until_unix_ms INTEGER,
    reason        TEXT NOT NULL,
    actor         TEXT NOT NULL,
    at_unix_ms    INTEGER NOT NULL
) STRICT;
CREATE INDEX sanctions_of_player ON sanctions (player_id, number);
CREATE TABLE sanction_counter (
    slot INTEGER PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT;
INSERT INTO sanction_counter (slot, last) VALUES (1, 0);
