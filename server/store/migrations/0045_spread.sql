-- Almost every row lasts: an index of those that ended must not tempt a planner that asks
-- for those that last.
DROP INDEX installation_removed;
CREATE INDEX installation_removed ON installation (removed) WHERE removed IS NOT NULL;
DROP INDEX finding_ended;
CREATE INDEX finding_ended ON finding (ended) WHERE ended IS NOT NULL;

-- What clients poll: new alerts of a severity since a time.
CREATE INDEX alert_status_updated ON alert (tenant, status, updated, id, severity, assigned, device);
