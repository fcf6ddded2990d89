CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE endpoints(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL UNIQUE,
    signing_secret TEXT NOT NULL,
    settings TEXT NOT NULL,
    last_seq INTEGER NOT NULL DEFAULT 0,
    created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE tokens(
    id TEXT PRIMARY KEY,
    hash BLOB NOT NULL,
    scopes TEXT NOT NULL,
    endpoints TEXT,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    revoked_ms INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE payloads(
    n INTEGER PRIMARY KEY,
    fields BLOB NOT NULL,
    trailers BLOB,
    body BLOB
) STRICT;

CREATE TABLE events(
    endpoint INTEGER NOT NULL,
    id BLOB NOT NULL,
    seq INTEGER NOT NULL,
    payload INTEGER NOT NULL,
    method TEXT NOT NULL,
    path BLOB NOT NULL,
    remote TEXT NOT NULL,
    https INTEGER NOT NULL,
    version TEXT NOT NULL,
    body_len INTEGER NOT NULL,
    body_kept TEXT NOT NULL,
    PRIMARY KEY(endpoint, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE deliveries(
    endpoint INTEGER NOT NULL,
    event BLOB NOT NULL,
    grp TEXT NOT NULL,
    replay INTEGER NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    due_ms INTEGER,
    lease INTEGER,
    lease_until_ms INTEGER,
    started_ms INTEGER,
    took_ms INTEGER,
    status INTEGER,
    code TEXT,
    detail TEXT,
    fields BLOB,
    body BLOB,
    PRIMARY KEY(endpoint, event, grp, replay)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_by_state ON deliveries(endpoint, state, event) WHERE state <> 'delivered';
CREATE INDEX deliveries_due ON deliveries(endpoint, grp, due_ms) WHERE due_ms IS NOT NULL;

CREATE TABLE attempts(
    endpoint INTEGER NOT NULL,
    event BLOB NOT NULL,
    grp TEXT NOT NULL,
    replay INTEGER NOT NULL,
    number INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    took_ms INTEGER NOT NULL,
    status INTEGER,
    code TEXT,
    detail TEXT,
    fields BLOB,
    body BLOB,
    PRIMARY KEY(endpoint, event, grp, replay, number)
) STRICT, WITHOUT ROWID;
