-- Automated investigations. id_text is the id as clients filter by it.
CREATE TABLE investigation (
    tenant  TEXT NOT NULL,
    id      BIGINT NOT NULL,
    id_text TEXT NOT NULL,
    device  TEXT,
    state   TEXT,
    alert   TEXT,
    started BIGINT,
    ended   BIGINT,
    open    BIGINT NOT NULL,
    doc     TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX investigation_started ON investigation (tenant, started, id);
CREATE INDEX investigation_id_text ON investigation (tenant, id_text);
CREATE INDEX investigation_state ON investigation (tenant, state, started);
CREATE INDEX investigation_alert ON investigation (tenant, alert);
CREATE UNIQUE INDEX investigation_open ON investigation (tenant, device) WHERE open = 1;
