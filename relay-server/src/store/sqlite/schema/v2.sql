-- The queue: what waits, whose turn it is, who has it, and how much of it there is.

ALTER TABLE endpoints ADD COLUMN paused_ms INTEGER;

ALTER TABLE events ADD COLUMN event_type TEXT;
ALTER TABLE events ADD COLUMN verification TEXT;
ALTER TABLE events ADD COLUMN note TEXT;
ALTER TABLE events ADD COLUMN replay_of BLOB;
CREATE INDEX events_spooled ON events(id) WHERE body_kept = 'spool';

-- `due_ms` is when a delivery is to be looked at: its next attempt, or the end of its lease. NULL while it waits for its
-- turn behind an earlier one of the same `okey`, and when it is over.
ALTER TABLE deliveries DROP COLUMN lease_until_ms;
ALTER TABLE deliveries ADD COLUMN size INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN spent_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN okey BLOB;
ALTER TABLE deliveries ADD COLUMN ckey BLOB;
UPDATE deliveries SET state = 'live', due_ms = NULL WHERE state = 'delivering';
UPDATE deliveries SET size = coalesce(
    (SELECT body_len FROM events WHERE events.endpoint = deliveries.endpoint AND events.id = deliveries.event), 0);
CREATE INDEX deliveries_turn ON deliveries(endpoint, grp, okey, event) WHERE okey IS NOT NULL;
CREATE INDEX deliveries_collapse ON deliveries(endpoint, grp, ckey) WHERE ckey IS NOT NULL;
CREATE INDEX deliveries_leased ON deliveries(endpoint, event) WHERE lease IS NOT NULL;

-- How many deliveries are in each state, kept by the writer: nothing is ever counted.
CREATE TABLE counts(
    endpoint INTEGER NOT NULL,
    grp TEXT NOT NULL,
    state TEXT NOT NULL,
    n INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY(endpoint, grp, state)
) STRICT, WITHOUT ROWID;
INSERT INTO counts SELECT endpoint, grp, state, count(*), sum(size) FROM deliveries GROUP BY endpoint, grp, state;

-- Which event was the first with a key, for as long as a repeat of it is none.
CREATE TABLE dedup(
    endpoint INTEGER NOT NULL,
    key BLOB NOT NULL,
    event BLOB NOT NULL,
    until_ms INTEGER NOT NULL,
    PRIMARY KEY(endpoint, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX dedup_until ON dedup(until_ms);

-- Keys that were rotated away and still lead to their endpoint for a while.
CREATE TABLE old_keys(
    key TEXT PRIMARY KEY,
    endpoint INTEGER NOT NULL,
    until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who replayed what.
CREATE TABLE replays(
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    token TEXT NOT NULL,
    endpoint INTEGER NOT NULL,
    what TEXT NOT NULL,
    count INTEGER NOT NULL
) STRICT;
