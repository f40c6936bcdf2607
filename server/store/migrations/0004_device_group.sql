-- Device groups, and on each device the one that it is in: 0 for none. regrouped counts
-- the changes of it after which the device needs all of its indicators anew.

CREATE TABLE device_group (
    tenant TEXT NOT NULL,
    id     BIGINT NOT NULL,
    name   TEXT NOT NULL,
    rank   BIGINT NOT NULL,
    doc    TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX device_group_name ON device_group (tenant, name);

-- How far the devices of a tenant were sorted into groups: by the rules of which
-- generation, and up to which device.
CREATE TABLE device_group_state (
    tenant     TEXT PRIMARY KEY,
    generation BIGINT NOT NULL,
    sorted     BIGINT NOT NULL,
    last_id    BIGINT NOT NULL
);

ALTER TABLE device ADD COLUMN grp BIGINT NOT NULL DEFAULT 0;
ALTER TABLE device ADD COLUMN platform TEXT;
ALTER TABLE device ADD COLUMN distribution TEXT;
ALTER TABLE device ADD COLUMN regrouped BIGINT NOT NULL DEFAULT 0;
CREATE INDEX device_grp ON device (tenant, grp, id);

CREATE INDEX indicator_scoped ON indicator (tenant) WHERE group_ids IS NOT NULL;
