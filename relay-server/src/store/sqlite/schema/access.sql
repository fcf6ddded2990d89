-- A token has a name for people, a secret that was replaced and counts for a while, and a time at which it was last shown.
ALTER TABLE tokens ADD COLUMN name TEXT;
ALTER TABLE tokens ADD COLUMN old_hash BLOB;
ALTER TABLE tokens ADD COLUMN old_until_ms INTEGER;
ALTER TABLE tokens ADD COLUMN used_ms INTEGER;

-- Who has changed what. Rows are written in the transaction of what they tell of, and never changed.
CREATE TABLE audit(
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    token TEXT,
    name TEXT,
    address TEXT,
    act TEXT NOT NULL,
    subject TEXT NOT NULL,
    changes TEXT NOT NULL
) STRICT;
CREATE INDEX audit_at ON audit(at_ms);
