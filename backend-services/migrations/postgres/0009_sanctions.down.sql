DROP TABLE sanction_counter;
DROP TABLE sanctions;
DROP TABLE bans;
