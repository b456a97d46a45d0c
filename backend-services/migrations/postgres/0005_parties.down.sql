DROP TABLE party_invites;
DROP TABLE party_members;
DROP TABLE parties;
