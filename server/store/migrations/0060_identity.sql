-- How people sign in beside a password: who vouches for them and as whom (person.provider,
-- person.subject), the identity providers, and what a tenant asks of everybody.

ALTER TABLE person ADD COLUMN provider TEXT;
ALTER TABLE person ADD COLUMN subject TEXT;
CREATE UNIQUE INDEX person_subject ON person (tenant, provider, subject);

CREATE TABLE identity_provider (
    tenant TEXT NOT NULL,
    id     TEXT NOT NULL,
    name   TEXT NOT NULL,
    doc    TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX identity_provider_name ON identity_provider (tenant, name);

CREATE TABLE sign_in_policy (
    tenant TEXT PRIMARY KEY,
    doc    TEXT NOT NULL
);
