-- Cases that are handed to experts outside, and whom they may be handed to.

CREATE TABLE expert_receiver (
    tenant TEXT NOT NULL,
    id     BIGINT NOT NULL,
    doc    TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE TABLE expert_case (
    tenant   TEXT NOT NULL,
    id       TEXT NOT NULL,
    alert    TEXT,
    incident BIGINT,
    device   TEXT,
    open     BIGINT NOT NULL,
    due      BIGINT NOT NULL,
    created  BIGINT,
    doc      TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX expert_case_created ON expert_case (tenant, created, id);
CREATE INDEX expert_case_due ON expert_case (due) WHERE open = 1;
CREATE INDEX expert_case_alert ON expert_case (tenant, alert);
CREATE INDEX expert_case_incident ON expert_case (tenant, incident);
CREATE INDEX expert_case_device ON expert_case (tenant, device, created);

-- Every device of a case: who does not see all of them does not see the case.
CREATE TABLE expert_device (
    tenant  TEXT NOT NULL,
    case_id TEXT NOT NULL,
    device  TEXT NOT NULL,
    PRIMARY KEY (tenant, case_id, device)
);

-- Several questions may be open about one device.
DROP INDEX action_open;
CREATE UNIQUE INDEX action_open ON action (tenant, device, kind) WHERE open = 1 AND kind <> 'askexpert';
