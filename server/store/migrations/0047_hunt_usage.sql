-- How long the queries of a tenant ran, in nanoseconds, by the minute since 1970 in which they ended.
CREATE TABLE hunt_usage (
    tenant TEXT NOT NULL,
    minute BIGINT NOT NULL,
    spent  BIGINT NOT NULL,
    PRIMARY KEY (tenant, minute)
);
