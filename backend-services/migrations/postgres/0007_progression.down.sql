DROP TABLE careers;
