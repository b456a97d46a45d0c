-- Tickets of the embedded engine, so that a crash loses none; unused, and empty, where Redis holds the queue.
CREATE TABLE matchmaking_tickets (
    ticket_id TEXT    PRIMARY KEY,
    body      TEXT    NOT NULL,
    state     TEXT    NOT NULL
) STRICT;
