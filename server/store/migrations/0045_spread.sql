-- Almost every row lasts: an index of those that ended must not tempt a planner that asks
-- for those that last.
DROP INDEX installation_removed;
CREATE INDEX installation_removed ON installation (removed) WHERE removed IS NOT NULL;
DROP INDEX finding_ended;
CREATE INDEX finding_ended ON finding (ended) WHERE ended IS NOT NULL;

-- What clients poll: new alerts of a severity since a time.
CREATE INDEX alert_status_updated ON alert (tenant, status, updated, id, severity, assigned, device);

-- How many devices of each device group hold a version of software or a product, how many
-- are exposed by it or to a vulnerability, and since when the first of them is. Every
-- device is in one group, so that sums over groups are what a caller of those groups sees.
-- It is counted from installation and finding; spread_state says of which revision of them.
CREATE TABLE spread (
    tenant  TEXT NOT NULL,
    kind    TEXT NOT NULL,
    id      TEXT NOT NULL,
    grp     BIGINT NOT NULL,
    devices BIGINT NOT NULL,
    exposed BIGINT NOT NULL,
    fixable BIGINT NOT NULL,
    since   BIGINT NOT NULL,
    PRIMARY KEY (tenant, kind, id, grp)
);
CREATE TABLE spread_state (
    tenant   TEXT NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL,
    counted  BIGINT NOT NULL,
    cost     BIGINT NOT NULL,
    at       BIGINT NOT NULL
);
INSERT INTO spread_state (tenant, revision, counted, cost, at) SELECT DISTINCT tenant, 1, 0, 0, 0 FROM installation;

-- The devices that hold a version, from the index alone, and those that meet a configuration.
DROP INDEX installation_software;
CREATE INDEX installation_software ON installation (tenant, software, removed, device);
DROP INDEX device_item_name;
CREATE INDEX device_item_name ON device_item (tenant, section, name, flag, device);
