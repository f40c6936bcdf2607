-- What the evidence of alerts names, so that the alerts of a file, an address, a domain or
-- a user are found by it: entity is a kind and a folded value, as "sha1:…", "ip:…".
CREATE TABLE alert_entity (
    tenant TEXT NOT NULL,
    entity TEXT NOT NULL,
    alert  TEXT NOT NULL,
    PRIMARY KEY (tenant, entity, alert)
);
CREATE INDEX alert_entity_alert ON alert_entity (tenant, alert);

-- Alerts with indexed = 0 were written before there was the table; they are indexed when
-- the store opens.
ALTER TABLE alert ADD COLUMN indexed BIGINT NOT NULL DEFAULT 0;
CREATE INDEX alert_indexed ON alert (tenant, id) WHERE indexed = 0;
