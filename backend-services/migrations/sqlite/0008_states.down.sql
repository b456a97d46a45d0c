DROP TABLE player_states;
