DROP TABLE party_members;
DROP TABLE parties;
