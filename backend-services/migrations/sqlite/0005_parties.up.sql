CREATE TABLE parties (
    party_id TEXT    PRIMARY KEY,
    code     TEXT    NOT NULL UNIQUE,
    body     TEXT    NOT NULL,
    revision INTEGER NOT NULL
) STRICT;

-- One row for each member: the primary key is the law that nobody is in two parties.
CREATE TABLE party_members (
    player_id INTEGER PRIMARY KEY REFERENCES accounts (player_id) ON DELETE CASCADE,
    party_id  TEXT    NOT NULL REFERENCES parties (party_id) ON DELETE CASCADE
) STRICT;
CREATE INDEX party_members_by_party ON party_members (party_id);
