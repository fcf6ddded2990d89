-- Events that were delivered while their callers waited, many in one row: never changed, only opened into rows. `ids` are
-- theirs, 16 bytes each, in their order; `seq` is the number of the first, and those of the others follow. `size` is how
-- long their bodies are, `kept` how much of them is kept, and `over_ms` when the last of them was over.
CREATE TABLE bundles(
    n INTEGER PRIMARY KEY,
    endpoint INTEGER NOT NULL,
    last BLOB NOT NULL,
    first BLOB NOT NULL,
    seq INTEGER NOT NULL,
    events INTEGER NOT NULL,
    kept INTEGER NOT NULL,
    size INTEGER NOT NULL,
    over_ms INTEGER NOT NULL,
    ids BLOB NOT NULL,
    data BLOB NOT NULL
) STRICT;
CREATE INDEX bundles_by_last ON bundles(endpoint, last, first);
