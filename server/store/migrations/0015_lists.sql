-- Lists over a million alerts and a hundred thousand devices. Each filter that clients
-- poll with has an index that gives its rows in the list's order; any other is answered
-- from one index that covers every hot column.

-- open_rank is 1 for Informational to 4 for High while the alert is unresolved, else null:
-- the greatest of a device is its risk.
ALTER TABLE alert ADD COLUMN open_rank BIGINT;
UPDATE alert SET open_rank = CASE severity WHEN 'informational' THEN 1 WHEN 'low' THEN 2 WHEN 'medium' THEN 3 WHEN 'high' THEN 4 END
    WHERE status IS NULL OR status <> 'resolved';
DROP INDEX alert_created;
DROP INDEX alert_device;
DROP INDEX alert_status;
DROP INDEX alert_updated;
DROP INDEX alert_fold_id;
CREATE INDEX alert_list ON alert (tenant, created, id, status, severity, device, assigned, incident, investigation, category,
    source, updated, first_event, last_event, fold_id, title);
CREATE INDEX alert_device ON alert (tenant, device, created, id);
CREATE INDEX alert_status ON alert (tenant, status, created, id);
CREATE INDEX alert_fold_id ON alert (tenant, fold_id, created, id);
CREATE INDEX alert_severity ON alert (tenant, severity, created, id);
CREATE INDEX alert_assigned ON alert (tenant, assigned, created, id);
CREATE INDEX alert_incident ON alert (tenant, incident, created, id);
CREATE INDEX alert_updated ON alert (tenant, updated, id, status, severity, assigned, device);
CREATE INDEX alert_first_event ON alert (tenant, first_event, id);
CREATE INDEX alert_last_event ON alert (tenant, last_event, id);
CREATE INDEX alert_risk ON alert (tenant, device, open_rank) WHERE open_rank IS NOT NULL;

-- state is the device's health while it is seen; a device that is not seen for a week is
-- inactive whatever its state. reported, first, oldest and blind are what it is made of.
-- form tells rows that have all columns from those that an older release wrote.
ALTER TABLE device ADD COLUMN form BIGINT NOT NULL DEFAULT 0;
ALTER TABLE device ADD COLUMN state TEXT;
ALTER TABLE device ADD COLUMN reported BIGINT;
ALTER TABLE device ADD COLUMN first BIGINT;
ALTER TABLE device ADD COLUMN oldest BIGINT;
ALTER TABLE device ADD COLUMN blind BIGINT NOT NULL DEFAULT 0;
ALTER TABLE device ADD COLUMN risk TEXT NOT NULL DEFAULT 'none';
ALTER TABLE device ADD COLUMN exposure TEXT;
ALTER TABLE device ADD COLUMN value TEXT;
ALTER TABLE device ADD COLUMN version TEXT;
ALTER TABLE device ADD COLUMN build BIGINT;
ALTER TABLE device ADD COLUMN agent TEXT;
ALTER TABLE device ADD COLUMN aad TEXT;
ALTER TABLE device ADD COLUMN last_ip TEXT;
ALTER TABLE device DROP COLUMN ips;
UPDATE device SET risk = coalesce((SELECT CASE max(open_rank) WHEN 1 THEN 'informational' WHEN 2 THEN 'low' WHEN 3 THEN 'medium'
    WHEN 4 THEN 'high' END FROM alert WHERE alert.tenant = device.tenant AND alert.device = device.id), 'none');
DROP INDEX device_tenant;
DROP INDEX device_name;
DROP INDEX device_seen;
DROP INDEX device_grp;
CREATE INDEX device_list ON device (tenant, id, seen, name, state, risk, exposure, value, grp, platform, version, build, agent, aad,
    last_ip, external_ip, first);
CREATE INDEX device_name ON device (tenant, name, id, seen);
CREATE INDEX device_seen ON device (tenant, seen, id);
CREATE INDEX device_first ON device (tenant, first, id);
CREATE INDEX device_state ON device (tenant, state, id, seen);
CREATE INDEX device_risk ON device (tenant, risk, id, seen);
CREATE INDEX device_grp ON device (tenant, grp, id, seen);
CREATE INDEX device_aad ON device (tenant, aad, id, seen);
CREATE INDEX device_last_ip ON device (tenant, last_ip, id, seen);
CREATE INDEX device_external_ip ON device (tenant, external_ip);
CREATE INDEX device_form ON device (form);

-- tag is folded, exact as it is spelled.
CREATE TABLE device_tag (
    tenant TEXT NOT NULL,
    device TEXT NOT NULL,
    exact  TEXT NOT NULL,
    tag    TEXT NOT NULL,
    PRIMARY KEY (tenant, device, exact)
);
CREATE INDEX device_tag_tag ON device_tag (tenant, tag, device);

CREATE TABLE device_address (
    tenant TEXT NOT NULL,
    device TEXT NOT NULL,
    n      BIGINT NOT NULL,
    ip     TEXT NOT NULL,
    mac    TEXT,
    type   TEXT,
    status TEXT,
    PRIMARY KEY (tenant, device, n)
);
CREATE INDEX device_address_ip ON device_address (tenant, ip, device);
