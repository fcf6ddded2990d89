-- A key that is never quiet: by when its newest event is delivered all the same. It goes from each to the next.
ALTER TABLE deliveries ADD COLUMN collapse_by_ms INTEGER;
