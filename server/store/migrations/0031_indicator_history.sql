-- Indicators leave their table when they expire, and are kept here. Those that ask for
-- historical detection wait in indicator_lookback until they were looked for.

CREATE INDEX indicator_expires ON indicator (expires, tenant);

CREATE TABLE indicator_history (
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
CREATE INDEX indicator_history_expires ON indicator_history (expires, tenant);
CREATE INDEX indicator_history_value ON indicator_history (tenant, value);

-- Indicators that are still to be looked for in past telemetry.
CREATE TABLE indicator_lookback (
    tenant TEXT NOT NULL,
    id     BIGINT NOT NULL,
    asked  BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX indicator_lookback_asked ON indicator_lookback (asked);
