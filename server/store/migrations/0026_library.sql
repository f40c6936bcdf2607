-- The live response library. name is as it is spelled, fold_name what is searched by.
CREATE TABLE library_file (
    tenant    TEXT NOT NULL,
    name      TEXT NOT NULL,
    fold_name TEXT NOT NULL,
    sum       TEXT NOT NULL,
    size      BIGINT NOT NULL,
    made_by   TEXT,
    created   BIGINT,
    updated   BIGINT,
    doc       TEXT NOT NULL,
    PRIMARY KEY (tenant, name)
);
CREATE INDEX library_file_sum ON library_file (sum);
