-- Roles that tenants make, and groups of people.

CREATE TABLE role (
    tenant TEXT NOT NULL,
    id     TEXT NOT NULL,
    name   TEXT NOT NULL,
    doc    TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX role_name ON role (tenant, name);

CREATE TABLE user_group (
    tenant TEXT NOT NULL,
    id     TEXT NOT NULL,
    name   TEXT NOT NULL,
    doc    TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX user_group_name ON user_group (tenant, name);
