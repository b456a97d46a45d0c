-- How a player differs in a mode from the rating that all modes share.
CREATE TABLE rating_modes (
    player_id BIGINT NOT NULL REFERENCES accounts (player_id) ON DELETE CASCADE,
    mode      TEXT NOT NULL,
    mu        DOUBLE PRECISION NOT NULL,
    sigma     DOUBLE PRECISION NOT NULL,
    matches   BIGINT NOT NULL,
    PRIMARY KEY (player_id, mode)
);
-- What the match's server signs its result with. Matches of before have none, and results of theirs no signature.
ALTER TABLE matches ADD COLUMN result_key BYTEA;
-- What a counted result did to the player, as JSON.
ALTER TABLE match_players ADD COLUMN outcome TEXT;
