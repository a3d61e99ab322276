SET LOCAL ROLE tidegate_owner;

SET LOCAL timezone = 'UTC';

ALTER TABLE delivery.outcomes RENAME TO served_outcomes;

ALTER TABLE delivery.served_outcomes RENAME CONSTRAINT outcomes_pkey TO served_outcomes_pkey;

ALTER TABLE delivery.served_outcomes RENAME CONSTRAINT outcomes_deployment_id_fkey TO served_outcomes_deployment_id_fkey;

ALTER INDEX delivery.outcomes_by_age RENAME TO served_outcomes_by_age;

CREATE TABLE telemetry.outcomes (
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    request_id VARCHAR NOT NULL,
    deployment VARCHAR NOT NULL,
    happened_at TIMESTAMP WITH TIME ZONE NOT NULL,
    bad BOOLEAN,
    actual JSONB,
    CONSTRAINT an_outcome_says_something CHECK (bad IS NOT NULL OR actual IS NOT NULL)
)
 PARTITION BY RANGE (at);

CREATE INDEX outcomes_by_request ON telemetry.outcomes (request_id);

CREATE INDEX outcomes_of_a_deployment ON telemetry.outcomes (deployment, at);

GRANT SELECT ON telemetry.outcomes TO tidegate_controller, tidegate_analyst;

GRANT INSERT ON telemetry.outcomes TO tidegate_controller;

UPDATE telemetry.retention SET table_name = 'outcomes' WHERE table_name = 'observations';

DO $$
DECLARE
    kept text := (SELECT days || ' days' FROM telemetry.retention WHERE table_name = 'outcomes');
    template text;
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_partman') THEN
        IF (SELECT extversion FROM pg_extension WHERE extname = 'pg_partman') ~ '^4[.]' THEN
            PERFORM partman.create_parent(
                p_parent_table := 'telemetry.outcomes', p_control := 'at', p_type := 'native', p_interval := 'daily',
                p_premake := 7);
        ELSE
            PERFORM partman.create_parent(
                p_parent_table := 'telemetry.outcomes', p_control := 'at', p_interval := '1 day', p_premake := 7);
        END IF;
        UPDATE partman.part_config
        SET retention = kept, retention_keep_table = false,
            infinite_time_partitions = true, ignore_default_data = true, inherit_privileges = true
        WHERE parent_table = 'telemetry.outcomes';
        DELETE FROM partman.part_config WHERE parent_table = 'telemetry.observations' RETURNING template_table
        INTO template;
        IF template IS NOT NULL THEN
            EXECUTE 'DROP TABLE IF EXISTS ' || template;
        END IF;
    ELSE
        CREATE TABLE telemetry.outcomes_default PARTITION OF telemetry.outcomes DEFAULT;
    END IF;
END $$;

INSERT INTO telemetry.outcomes (at, request_id, deployment, happened_at, actual)
SELECT at, request_id, deployment, at, value FROM telemetry.observations;

INSERT INTO telemetry.outcomes (at, request_id, deployment, happened_at, bad)
SELECT to_timestamp(o.told_at / 1000.0), o.request_id, d.name, to_timestamp(o.at / 1000.0), o.bad
FROM delivery.served_outcomes o JOIN delivery.deployments d ON d.id = o.deployment_id;

DROP TABLE telemetry.observations;

RESET ROLE;
