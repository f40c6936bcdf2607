-- What people and rules do with alerts. alert_absorbed remembers detections that were
-- merged into an alert; history is of alerts and incidents; counter gives ids.

ALTER TABLE alert ADD COLUMN classification TEXT;
ALTER TABLE alert ADD COLUMN determination TEXT;
ALTER TABLE alert ADD COLUMN suppressed BIGINT NOT NULL DEFAULT 0;

CREATE INDEX alert_classification ON alert (tenant, classification, created, id);
CREATE INDEX alert_determination ON alert (tenant, determination, created, id);
CREATE INDEX alert_suppressed ON alert (tenant, suppressed, created, id);
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
