-- How many events an endpoint has, how many bytes their kept bodies have, and how many retention has taken away: so its
-- last sequence number is always n + gone. An endpoint that was deleted is here until its last event has gone.
CREATE TABLE totals(
    endpoint INTEGER PRIMARY KEY,
    n INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    gone INTEGER NOT NULL
) STRICT;
INSERT INTO totals
    SELECT endpoint, count(*), sum(CASE body_kept WHEN 'none' THEN 0 ELSE body_len END), max(seq) - count(*)
    FROM events GROUP BY endpoint;
