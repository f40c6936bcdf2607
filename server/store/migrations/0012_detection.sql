-- Custom detection rules, what was done in response to their alerts, and what a tenant
-- changed of the rule files. due is when the next run is, null for a rule that is not run.

CREATE TABLE custom_detection (
    tenant   TEXT NOT NULL,
    id       BIGINT NOT NULL,
    name     TEXT NOT NULL,
    enabled  BIGINT NOT NULL,
    period   TEXT,
    due      BIGINT,
    created  BIGINT,
    modified BIGINT,
    doc      TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX custom_detection_name ON custom_detection (tenant, name);
CREATE INDEX custom_detection_due ON custom_detection (due);

CREATE TABLE custom_counter (
    tenant TEXT PRIMARY KEY,
    last   BIGINT NOT NULL
);

CREATE TABLE custom_response (
    tenant TEXT NOT NULL,
    alert  TEXT NOT NULL,
    place  BIGINT NOT NULL,
    at     BIGINT NOT NULL,
    done   BIGINT NOT NULL,
    doc    TEXT NOT NULL,
    PRIMARY KEY (tenant, alert, place)
);
CREATE INDEX custom_response_open ON custom_response (done, at);

CREATE TABLE rule_file (
    tenant  TEXT NOT NULL,
    id      TEXT NOT NULL,
    name    TEXT NOT NULL,
    enabled BIGINT,
    doc     TEXT,
    PRIMARY KEY (tenant, id)
);
