-- Messages that somebody waits for, and that may be large, go out beside notifications.
ALTER TABLE message ADD COLUMN lane TEXT NOT NULL DEFAULT '';
DROP INDEX message_due;
CREATE INDEX message_due ON message (lane, due) WHERE waiting = 1;
