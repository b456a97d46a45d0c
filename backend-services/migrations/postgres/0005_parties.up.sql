-- The body is the rules' own; the revision keeps two changes from overwriting each other.
CREATE TABLE parties (
    party_id  TEXT    PRIMARY KEY,
    code      TEXT    NOT NULL UNIQUE,
    body      TEXT    NOT NULL,
    revision  BIGINT NOT NULL,
    ticket_id TEXT
);

-- One row for each member: the primary key is the law that nobody is in two parties.
CREATE TABLE party_members (
    player_id    BIGINT PRIMARY KEY REFERENCES accounts (player_id) ON DELETE CASCADE,
    party_id     TEXT    NOT NULL REFERENCES parties (party_id) ON DELETE CASCADE,
    seen_unix_ms BIGINT NOT NULL
);
CREATE INDEX party_members_by_party ON party_members (party_id);
CREATE INDEX party_members_by_seen ON party_members (seen_unix_ms);

-- So that a player finds the parties that want it; until when is in the body.
CREATE TABLE party_invites (
    player_id BIGINT NOT NULL REFERENCES accounts (player_id) ON DELETE CASCADE,
    party_id  TEXT    NOT NULL REFERENCES parties (party_id) ON DELETE CASCADE,
    PRIMARY KEY (player_id, party_id)
);
CREATE INDEX party_invites_by_party ON party_invites (party_id);
