-- What people and rules do with alerts. alert_absorbed remembers detections that were
-- merged into an alert; history is of alerts and incidents; counter gives ids.

ALTER TABLE alert ADD COLUMN classification TEXT;
ALTER TABLE alert ADD COLUMN determination TEXT;
ALTER TABLE alert ADD COLUMN suppressed BIGINT NOT NULL DEFAULT 0;

DROP INDEX alert_device;
DROP INDEX alert_status;
CREATE INDEX alert_device ON alert (tenant, device, created, id);
CREATE INDEX alert_status ON alert (tenant, status, created, id);
CREATE INDEX alert_severity ON alert (tenant, severity, created, id);
CREATE INDEX alert_assigned ON alert (tenant, assigned, created, id);
CREATE INDEX alert_incident ON alert (tenant, incident, created, id);
CREATE INDEX alert_open ON alert (tenant, device, title, last_event) WHERE status <> 'resolved';

CREATE TABLE alert_absorbed (
    tenant TEXT NOT NULL,
    id     TEXT NOT NULL,
    alert  TEXT NOT NULL,
    at     BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX alert_absorbed_at ON alert_absorbed (at);

CREATE TABLE suppression (
    tenant TEXT NOT NULL,
    id     BIGINT NOT NULL,
    doc    TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE TABLE history (
    tenant TEXT NOT NULL,
    noun   TEXT NOT NULL,
    object TEXT NOT NULL,
    seq    BIGINT NOT NULL,
    doc    TEXT NOT NULL,
    PRIMARY KEY (tenant, noun, object, seq)
);

CREATE TABLE counter (
    tenant TEXT NOT NULL,
    name   TEXT NOT NULL,
    value  BIGINT NOT NULL,
    PRIMARY KEY (tenant, name)
);
