-- Incidents, and what links alerts to them: key is of a kind, held from first to last.

CREATE TABLE incident (
    tenant         TEXT NOT NULL,
    id             BIGINT NOT NULL,
    redirect       BIGINT,
    name           TEXT,
    severity       TEXT,
    status         TEXT,
    assigned       TEXT,
    classification TEXT,
    determination  TEXT,
    tags           TEXT,
    created        BIGINT,
    updated        BIGINT,
    doc            TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX incident_created ON incident (tenant, created, id);
CREATE INDEX incident_updated ON incident (tenant, updated, id);
CREATE INDEX incident_status ON incident (tenant, status, created, id);
CREATE INDEX incident_assigned ON incident (tenant, assigned, created, id);

CREATE TABLE incident_link (
    tenant     TEXT NOT NULL,
    kind       TEXT NOT NULL,
    key_value  TEXT NOT NULL,
    incident   BIGINT NOT NULL,
    first_time BIGINT NOT NULL,
    last_time  BIGINT NOT NULL,
    PRIMARY KEY (tenant, kind, key_value, incident)
);
CREATE INDEX incident_link_last ON incident_link (tenant, kind, key_value, last_time);
CREATE INDEX incident_link_incident ON incident_link (tenant, incident);
CREATE INDEX incident_link_end ON incident_link (last_time);
