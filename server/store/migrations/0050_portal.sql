-- Sessions of people in the portal, by the keyed hash of what their browser's cookie holds,
-- and what people keep there: columns, filters, queries, each under a name.

CREATE TABLE portal_session (
    hash    TEXT PRIMARY KEY,
    tenant  TEXT NOT NULL,
    person  TEXT NOT NULL,
    seen    BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    doc     TEXT NOT NULL
);
CREATE INDEX portal_session_person ON portal_session (tenant, person);
CREATE INDEX portal_session_expires ON portal_session (expires);

CREATE TABLE preference (
    tenant  TEXT NOT NULL,
    person  TEXT NOT NULL,
    name    TEXT NOT NULL,
    doc     TEXT NOT NULL,
    PRIMARY KEY (tenant, person, name)
);
