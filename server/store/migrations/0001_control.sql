-- Types are TEXT and BIGINT alone. Times are nanoseconds since 1970 UTC, null for none;
-- flags are 0 and 1; text that is filtered by is folded (see filter.go), doc is JSON.

CREATE TABLE migration (
    version BIGINT PRIMARY KEY,
    name    TEXT NOT NULL,
    sum     TEXT NOT NULL,
    applied BIGINT NOT NULL
);

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
INSERT INTO meta (name, value) VALUES ('ping', '');

CREATE TABLE tenant (
    id      TEXT PRIMARY KEY,
    created BIGINT NOT NULL,
    doc     TEXT NOT NULL
);

CREATE TABLE application (
    id      TEXT PRIMARY KEY,
    tenant  TEXT NOT NULL,
    created BIGINT NOT NULL,
    doc     TEXT NOT NULL
);
CREATE INDEX application_tenant ON application (tenant, created);

CREATE TABLE person (
    tenant TEXT NOT NULL,
    id     TEXT NOT NULL,
    login  TEXT NOT NULL,
    doc    TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX person_login ON person (tenant, login);

CREATE TABLE signing_key (
    id      TEXT PRIMARY KEY,
    created BIGINT NOT NULL,
    sealed  TEXT NOT NULL
);

CREATE TABLE audit (
    tenant TEXT NOT NULL,
    seq    BIGINT NOT NULL,
    at     BIGINT NOT NULL,
    doc    TEXT NOT NULL,
    PRIMARY KEY (tenant, seq)
);

CREATE TABLE device (
    id          TEXT PRIMARY KEY,
    tenant      TEXT NOT NULL,
    name        TEXT,
    label       TEXT,
    fingerprint TEXT NOT NULL,
    seen        BIGINT,
    data        BIGINT,
    skew        BIGINT NOT NULL,
    external_ip TEXT NOT NULL,
    ips         TEXT,
    tags        TEXT,
    doc         TEXT NOT NULL
);
CREATE INDEX device_tenant ON device (tenant, id);
CREATE INDEX device_name ON device (tenant, name);
CREATE INDEX device_label ON device (tenant, label);
CREATE INDEX device_fingerprint ON device (tenant, fingerprint);
CREATE INDEX device_seen ON device (tenant, seen);

CREATE TABLE enrolment_token (
    hash    TEXT PRIMARY KEY,
    tenant  TEXT NOT NULL,
    created BIGINT NOT NULL,
    doc     TEXT NOT NULL
);
CREATE INDEX enrolment_token_tenant ON enrolment_token (tenant, created);

CREATE TABLE alert (
    tenant        TEXT NOT NULL,
    id            TEXT NOT NULL,
    fold_id       TEXT NOT NULL,
    device        TEXT,
    incident      BIGINT,
    investigation BIGINT,
    severity      TEXT,
    status        TEXT,
    category      TEXT,
    source        TEXT,
    title         TEXT,
    assigned      TEXT,
    created       BIGINT,
    first_event   BIGINT,
    last_event    BIGINT,
    updated       BIGINT,
    doc           TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX alert_created ON alert (tenant, created, id);
CREATE INDEX alert_updated ON alert (tenant, updated, id);
CREATE INDEX alert_device ON alert (tenant, device, created);
CREATE INDEX alert_status ON alert (tenant, status, created);
CREATE INDEX alert_fold_id ON alert (tenant, fold_id);

CREATE TABLE action (
    tenant    TEXT NOT NULL,
    id        TEXT NOT NULL,
    device    TEXT,
    kind      TEXT,
    status    TEXT,
    requestor TEXT,
    open      BIGINT NOT NULL,
    rank      BIGINT NOT NULL,
    created   BIGINT,
    updated   BIGINT,
    doc       TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX action_created ON action (tenant, created, id);
CREATE INDEX action_device ON action (tenant, device, created);
CREATE UNIQUE INDEX action_open ON action (tenant, device, kind) WHERE open = 1;
