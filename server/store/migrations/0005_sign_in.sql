-- What delegated sign-ins leave behind: authorization codes, refresh tokens and device
-- codes, each by the keyed hash of its text. family ties together what one sign-in led to.

CREATE TABLE sign_in_grant (
    hash    TEXT PRIMARY KEY,
    kind    TEXT NOT NULL,
    tenant  TEXT NOT NULL,
    person  TEXT NOT NULL,
    family  TEXT NOT NULL,
    expires BIGINT NOT NULL,
    doc     TEXT NOT NULL
);
CREATE INDEX sign_in_grant_family ON sign_in_grant (family);
CREATE INDEX sign_in_grant_person ON sign_in_grant (tenant, person);
CREATE INDEX sign_in_grant_expires ON sign_in_grant (expires);
