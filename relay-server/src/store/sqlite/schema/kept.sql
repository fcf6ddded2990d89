-- What the relay keeps for itself, by name.
CREATE TABLE kept(
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
