-- What was seen of IOCs and indicators: a row for each device. noun is indicator.Noun.

CREATE TABLE indicator_tally (
    tenant  TEXT NOT NULL,
    noun    BIGINT NOT NULL,
    id      BIGINT NOT NULL,
    device  TEXT NOT NULL,
    matches BIGINT NOT NULL,
    blocks  BIGINT NOT NULL,
    alerts  BIGINT NOT NULL,
    first   BIGINT NOT NULL,
    last    BIGINT NOT NULL,
    PRIMARY KEY (tenant, noun, id, device)
);
