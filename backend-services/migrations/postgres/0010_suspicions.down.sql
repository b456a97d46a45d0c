DROP TABLE suspicions;
