ALTER TABLE match_players DROP COLUMN outcome;
ALTER TABLE matches DROP COLUMN result_key;
DROP TABLE rating_modes;
