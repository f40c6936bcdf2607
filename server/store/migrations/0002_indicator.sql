-- Custom threat intelligence and indicators. revision numbers the transactions of a
-- tenant; a deleted row leaves its id in ti_deletion until that is pruned, and
-- ti_counter.forgotten is the newest revision whose deletions were.

CREATE TABLE ti_counter (
    tenant        TEXT PRIMARY KEY,
    revision      BIGINT NOT NULL DEFAULT 0,
    forgotten     BIGINT NOT NULL DEFAULT 0,
    definition_id BIGINT NOT NULL DEFAULT 0,
    ioc_id        BIGINT NOT NULL DEFAULT 0,
    indicator_id  BIGINT NOT NULL DEFAULT 0,
    definitions   BIGINT NOT NULL DEFAULT 0,
    iocs          BIGINT NOT NULL DEFAULT 0,
    patterns      BIGINT NOT NULL DEFAULT 0,
    indicators    BIGINT NOT NULL DEFAULT 0,
    deletions     BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE ti_deletion (
    tenant   TEXT NOT NULL,
    revision BIGINT NOT NULL,
    noun     BIGINT NOT NULL,
    id       BIGINT NOT NULL,
    PRIMARY KEY (tenant, revision, noun, id)
);

CREATE TABLE definition (
    tenant          TEXT NOT NULL,
    id              BIGINT NOT NULL,
    revision        BIGINT NOT NULL,
    name            TEXT,
    severity        TEXT,
    internal        TEXT,
    title           TEXT,
    description     TEXT,
    recommended     TEXT,
    category        TEXT,
    enabled         BIGINT NOT NULL,
    created         BIGINT,
    created_by      TEXT,
    created_by_name TEXT,
    modified        BIGINT,
    modified_by     TEXT,
    doc             TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX definition_revision ON definition (tenant, revision);

CREATE TABLE ioc (
    tenant          TEXT NOT NULL,
    id              BIGINT NOT NULL,
    revision        BIGINT NOT NULL,
    definition      BIGINT NOT NULL,
    type            TEXT,
    value           TEXT,
    detection       TEXT,
    pattern         BIGINT NOT NULL,
    enabled         BIGINT NOT NULL,
    expires         BIGINT,
    created         BIGINT,
    created_by      TEXT,
    created_by_name TEXT,
    modified        BIGINT,
    modified_by     TEXT,
    doc             TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX ioc_revision ON ioc (tenant, revision);
CREATE INDEX ioc_definition ON ioc (tenant, definition);
CREATE INDEX ioc_value ON ioc (tenant, value);

CREATE TABLE indicator (
    tenant          TEXT NOT NULL,
    id              BIGINT NOT NULL,
    revision        BIGINT NOT NULL,
    exact_value     TEXT NOT NULL,
    value           TEXT,
    type            TEXT,
    action          TEXT,
    application     TEXT,
    title           TEXT,
    severity        TEXT,
    expires         BIGINT,
    generate_alert  BIGINT NOT NULL,
    group_names     TEXT,
    group_ids       TEXT,
    external        TEXT,
    created         BIGINT,
    created_by      TEXT,
    created_by_name TEXT,
    modified        BIGINT,
    doc             TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX indicator_exact ON indicator (tenant, exact_value);
CREATE INDEX indicator_revision ON indicator (tenant, revision);
CREATE INDEX indicator_value ON indicator (tenant, value);
CREATE INDEX indicator_owner ON indicator (tenant, created_by, id);
