-- The sums of what is kept of an event (the head's in the upper half, the body's in the lower one); NULL for one that an
-- earlier version wrote.
ALTER TABLE payloads ADD COLUMN sums INTEGER;
