-- The action center: where an action came from, whether it waits for approval, and who
-- must approve what.

ALTER TABLE action ADD COLUMN source TEXT;
-- waiting is 1 while somebody has to agree; before this release nobody had to.
ALTER TABLE action ADD COLUMN waiting BIGINT NOT NULL DEFAULT 0;
UPDATE action SET source = CASE WHEN doc LIKE '%"Source":"CustomDetection"%' THEN 'customdetection' ELSE 'publicapi' END;
CREATE INDEX action_waiting ON action (tenant, created, id) WHERE waiting = 1;
CREATE INDEX action_pending ON action (tenant, created, id) WHERE open = 1;
CREATE INDEX action_status ON action (tenant, status, created, id);

CREATE TABLE approval_policy (
    tenant TEXT NOT NULL,
    id     BIGINT NOT NULL,
    doc    TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);

-- offboarded is 1 while a device that took its leave has not enrolled again.
ALTER TABLE device ADD COLUMN offboarded BIGINT NOT NULL DEFAULT 0;
