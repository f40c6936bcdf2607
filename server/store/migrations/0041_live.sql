-- Live response sessions, and the commands of each.
CREATE TABLE live_session (
    tenant  TEXT NOT NULL,
    id      TEXT NOT NULL,
    device  TEXT,
    state   TEXT,
    started_by TEXT,
    created BIGINT,
    open    BIGINT NOT NULL,
    doc     TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX live_session_created ON live_session (tenant, created, id);
CREATE INDEX live_session_device ON live_session (tenant, device, created);
CREATE UNIQUE INDEX live_session_open ON live_session (tenant, device) WHERE open = 1;

CREATE TABLE live_command (
    tenant  TEXT NOT NULL,
    session TEXT NOT NULL,
    run     BIGINT NOT NULL,
    doc     TEXT NOT NULL,
    PRIMARY KEY (tenant, session, run)
);
