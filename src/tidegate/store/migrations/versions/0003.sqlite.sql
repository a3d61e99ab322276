ALTER TABLE outcomes RENAME TO served_outcomes;

DROP INDEX outcomes_by_age;

CREATE INDEX served_outcomes_by_age ON served_outcomes (deployment_id, told_at);

CREATE TABLE outcomes (
    at VARCHAR NOT NULL,
    request_id VARCHAR NOT NULL,
    deployment VARCHAR NOT NULL,
    happened_at VARCHAR NOT NULL,
    bad INTEGER,
    actual JSON,
    CONSTRAINT an_outcome_says_something CHECK (bad IS NOT NULL OR actual IS NOT NULL),
    CONSTRAINT what_is_told_is_good_or_bad CHECK (bad IN (0, 1))
);

CREATE INDEX outcomes_by_request ON outcomes (request_id);

CREATE INDEX outcomes_of_a_deployment ON outcomes (deployment, at);

INSERT INTO outcomes (at, request_id, deployment, happened_at, actual)
SELECT at, request_id, deployment, at, value FROM observations;

INSERT INTO outcomes (at, request_id, deployment, happened_at, bad)
SELECT strftime('%Y-%m-%dT%H:%M:%S', o.told_at / 1000, 'unixepoch') || printf('.%03d000+00:00', o.told_at % 1000),
    o.request_id, d.name,
    strftime('%Y-%m-%dT%H:%M:%S', o.at / 1000, 'unixepoch') || printf('.%03d000+00:00', o.at % 1000),
    o.bad
FROM served_outcomes o JOIN deployments d ON d.id = o.deployment_id;

DROP TABLE observations;

UPDATE retention SET table_name = 'outcomes' WHERE table_name = 'observations';
