-- Hunting queries that people saved. owner is the id of who did.
CREATE TABLE saved_query (
    tenant TEXT NOT NULL,
    id     TEXT NOT NULL,
    owner  TEXT NOT NULL,
    shared BIGINT NOT NULL,
    folder TEXT NOT NULL,
    name   TEXT NOT NULL,
    doc    TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX saved_query_owner ON saved_query (tenant, owner);
