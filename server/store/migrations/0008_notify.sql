-- Who is told of alerts and incidents, and what is to be sent to them.

CREATE TABLE notification_rule (
    tenant TEXT NOT NULL,
    id     BIGINT NOT NULL,
    doc    TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE TABLE subscription (
    tenant  TEXT NOT NULL,
    id      TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    doc     TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX subscription_expires ON subscription (expires);

CREATE TABLE message (
    tenant  TEXT NOT NULL,
    id      TEXT NOT NULL,
    channel TEXT NOT NULL,
    waiting BIGINT NOT NULL,
    created BIGINT NOT NULL,
    due     BIGINT NOT NULL,
    done    BIGINT,
    doc     TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX message_due ON message (due) WHERE waiting = 1;
CREATE INDEX message_channel ON message (tenant, channel, created);
CREATE INDEX message_created ON message (tenant, created);
CREATE INDEX message_done ON message (done);

CREATE TABLE digest_item (
    tenant TEXT NOT NULL,
    id     TEXT NOT NULL,
    rule   BIGINT NOT NULL,
    due    BIGINT NOT NULL,
    at     BIGINT NOT NULL,
    doc    TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX digest_item_due ON digest_item (due);
CREATE INDEX digest_item_rule ON digest_item (tenant, rule, due, at, id);
