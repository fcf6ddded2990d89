-- Secrets of endpoints, sealed with a key that is not in here. `unseen`: it came with a handshake, and no person has been
-- shown it.
CREATE TABLE secrets(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    sealed BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    until_ms INTEGER,
    unseen INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX secrets_of ON secrets(endpoint);

-- What stood here was not sealed, and nothing was signed with it yet.
PRAGMA secure_delete = ON;
UPDATE endpoints SET signing_secret = '';
PRAGMA secure_delete = OFF;
ALTER TABLE endpoints DROP COLUMN signing_secret;

-- By which provider's scheme an event was verified, and why that failed.
ALTER TABLE events ADD COLUMN verified_as TEXT;
ALTER TABLE events ADD COLUMN unverified_why TEXT;
