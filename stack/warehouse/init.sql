-- The tables of Tidegate's store in PostgreSQL 15 or newer, schema version 0003.
--
-- Run it once, in an empty database, as a superuser: psql --dbname=tidegate --file=init.sql
-- It is one transaction: all of it is done, or nothing. `tidegate db init` does the same, `tidegate db init --print`
-- writes this, and `tidegate db check` says whether a database is as this makes it.

\set ON_ERROR_STOP on

BEGIN;

-- Roles. None of them can log in: make those that do members of one, e.g. GRANT tidegate_controller TO me.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tidegate_owner') THEN
        CREATE ROLE tidegate_owner NOLOGIN;
    END IF;
END $$;

DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tidegate_controller') THEN
        CREATE ROLE tidegate_controller NOLOGIN;
    END IF;
END $$;

DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tidegate_serving') THEN
        CREATE ROLE tidegate_serving NOLOGIN;
    END IF;
END $$;

DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tidegate_analyst') THEN
        CREATE ROLE tidegate_analyst NOLOGIN;
    END IF;
END $$;

-- Schemas.
CREATE SCHEMA delivery AUTHORIZATION tidegate_owner;

CREATE SCHEMA registry AUTHORIZATION tidegate_owner;

CREATE SCHEMA features AUTHORIZATION tidegate_owner;

CREATE SCHEMA telemetry AUTHORIZATION tidegate_owner;

-- All that follows belongs to the owner, whoever runs this.
SET LOCAL ROLE tidegate_owner;

-- What must not happen is refused by triggers.
CREATE FUNCTION delivery.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING MESSAGE = TG_ARGV[0], ERRCODE = 'integrity_constraint_violation';
END
$$;

-- Tables and indexes.
CREATE TABLE delivery.deployments (
    id SERIAL NOT NULL,
    name VARCHAR NOT NULL,
    stable INTEGER,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    deleted_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id)
);

CREATE UNIQUE INDEX one_living_deployment_per_name ON delivery.deployments (name) WHERE deleted_at IS NULL;

CREATE TABLE delivery.freezes (
    id SERIAL NOT NULL,
    deployment VARCHAR,
    reason TEXT NOT NULL,
    by VARCHAR NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    removed_at TIMESTAMP WITH TIME ZONE,
    removed_by VARCHAR,
    PRIMARY KEY (id),
    CONSTRAINT a_freeze_ends_after_its_start CHECK (ends_at > starts_at)
);

CREATE TABLE delivery.leadership (
    id INTEGER NOT NULL,
    term BIGINT NOT NULL,
    holder VARCHAR NOT NULL,
    since TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT one_controller_leads CHECK (id = 1)
);

CREATE TABLE delivery.schema_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT schema_version_pkc PRIMARY KEY (version_num)
);

CREATE TABLE delivery.served_position (
    id SERIAL NOT NULL,
    file INTEGER NOT NULL,
    "offset" BIGINT NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE features.feature_history (
    view_id INTEGER NOT NULL,
    entity VARCHAR NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    written_at TIMESTAMP WITH TIME ZONE NOT NULL,
    vector JSONB NOT NULL,
    PRIMARY KEY (view_id, entity, at, written_at)
)
 PARTITION BY RANGE (at);

CREATE TABLE features.feature_views (
    id SERIAL NOT NULL,
    name VARCHAR NOT NULL,
    entity VARCHAR NOT NULL,
    schema JSON,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    created_by VARCHAR NOT NULL,
    loaded_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    UNIQUE (name)
);

CREATE TABLE registry.models (
    id SERIAL NOT NULL,
    name VARCHAR NOT NULL,
    description TEXT DEFAULT '' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    created_by VARCHAR NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (name)
);

CREATE TABLE telemetry.drift_readings (
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    deployment VARCHAR NOT NULL,
    revision INTEGER NOT NULL,
    "column" VARCHAR NOT NULL,
    rows INTEGER NOT NULL,
    psi FLOAT,
    level VARCHAR NOT NULL,
    data JSONB NOT NULL
)
 PARTITION BY RANGE (at);

CREATE INDEX drift_readings_of_a_deployment ON telemetry.drift_readings (deployment, "column", at);

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

CREATE TABLE telemetry.predictions (
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    request_id VARCHAR NOT NULL,
    deployment VARCHAR NOT NULL,
    revision INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    inputs JSONB NOT NULL,
    outputs JSONB NOT NULL
)
 PARTITION BY RANGE (at);

CREATE INDEX predictions_by_request ON telemetry.predictions (request_id);

CREATE INDEX predictions_of_a_deployment ON telemetry.predictions (deployment, at);

CREATE TABLE telemetry.retention (
    table_name VARCHAR NOT NULL,
    days INTEGER,
    PRIMARY KEY (table_name),
    CONSTRAINT rows_are_kept_for_a_day_at_least CHECK (days >= 1)
);

CREATE TABLE delivery.revisions (
    deployment_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    digest VARCHAR NOT NULL,
    request JSON NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (deployment_id, number),
    CONSTRAINT revision_numbers_start_at_one CHECK (number >= 1),
    FOREIGN KEY(deployment_id) REFERENCES delivery.deployments (id)
);

CREATE TABLE delivery.served_forgotten (
    deployment_id INTEGER NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (deployment_id),
    FOREIGN KEY(deployment_id) REFERENCES delivery.deployments (id)
);

CREATE TABLE delivery.served_outcomes (
    deployment_id INTEGER NOT NULL,
    request_id VARCHAR NOT NULL,
    bad BOOLEAN NOT NULL,
    at BIGINT NOT NULL,
    told_at BIGINT NOT NULL,
    PRIMARY KEY (deployment_id, request_id),
    FOREIGN KEY(deployment_id) REFERENCES delivery.deployments (id)
);

CREATE INDEX served_outcomes_by_age ON delivery.served_outcomes (deployment_id, told_at);

CREATE TABLE delivery.served_requests (
    seq BIGSERIAL NOT NULL,
    deployment_id INTEGER NOT NULL,
    request_id VARCHAR NOT NULL,
    revision INTEGER,
    served_at BIGINT NOT NULL,
    PRIMARY KEY (seq),
    FOREIGN KEY(deployment_id) REFERENCES delivery.deployments (id)
);

CREATE UNIQUE INDEX one_note_per_request ON delivery.served_requests (deployment_id, request_id);

CREATE INDEX served_requests_in_order ON delivery.served_requests (deployment_id, seq);

CREATE TABLE features.feature_quarantine (
    id BIGSERIAL NOT NULL,
    view_id INTEGER NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    source TEXT NOT NULL,
    position BIGINT NOT NULL,
    entity TEXT NOT NULL,
    vector TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(view_id) REFERENCES features.feature_views (id)
);

CREATE INDEX quarantine_of_a_view ON features.feature_quarantine (view_id, id);

CREATE TABLE features.feature_vectors (
    view_id INTEGER NOT NULL,
    entity VARCHAR NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    written_at TIMESTAMP WITH TIME ZONE NOT NULL,
    vector JSONB NOT NULL,
    PRIMARY KEY (view_id, entity),
    FOREIGN KEY(view_id) REFERENCES features.feature_views (id)
);

CREATE INDEX feature_vectors_by_content ON features.feature_vectors USING gin (vector jsonb_path_ops);

CREATE TABLE registry.model_versions (
    model_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    digest VARCHAR NOT NULL,
    framework VARCHAR NOT NULL,
    source TEXT NOT NULL,
    description TEXT DEFAULT '' NOT NULL,
    stage VARCHAR DEFAULT 'none' NOT NULL,
    metrics JSONB NOT NULL,
    lineage JSONB NOT NULL,
    details JSON NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    created_by VARCHAR NOT NULL,
    PRIMARY KEY (model_id, number),
    CONSTRAINT model_version_numbers_start_at_one CHECK (number >= 1),
    CONSTRAINT stages_of_a_model_version CHECK (stage IN ('none', 'staging', 'production', 'archived')),
    FOREIGN KEY(model_id) REFERENCES registry.models (id)
);

CREATE INDEX model_versions_by_digest ON registry.model_versions (digest);

CREATE TABLE delivery.rollouts (
    id SERIAL NOT NULL,
    deployment_id INTEGER NOT NULL,
    from_revision INTEGER,
    to_revision INTEGER NOT NULL,
    phase VARCHAR NOT NULL,
    version INTEGER DEFAULT 0 NOT NULL,
    state JSON NOT NULL,
    evidence JSON NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    FOREIGN KEY(deployment_id, to_revision) REFERENCES delivery.revisions (deployment_id, number),
    CONSTRAINT a_rollout_has_ended_exactly_in_a_terminal_phase CHECK ((ended_at IS NOT NULL) = (phase IN ('promoted', 'rolled_back', 'aborted', 'failed'))),
    FOREIGN KEY(deployment_id) REFERENCES delivery.deployments (id)
);

CREATE UNIQUE INDEX one_active_rollout_per_deployment ON delivery.rollouts (deployment_id) WHERE ended_at IS NULL;

CREATE INDEX rollouts_of_a_deployment ON delivery.rollouts (deployment_id, id);

CREATE TABLE registry.model_aliases (
    model_id INTEGER NOT NULL,
    alias VARCHAR NOT NULL,
    number INTEGER NOT NULL,
    moved_at TIMESTAMP WITH TIME ZONE NOT NULL,
    moved_by VARCHAR NOT NULL,
    PRIMARY KEY (model_id, alias),
    FOREIGN KEY(model_id, number) REFERENCES registry.model_versions (model_id, number)
);

CREATE TABLE registry.stage_changes (
    id SERIAL NOT NULL,
    model_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    before VARCHAR NOT NULL,
    stage VARCHAR NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    by VARCHAR NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(model_id, number) REFERENCES registry.model_versions (model_id, number)
);

CREATE INDEX stage_changes_of_a_version ON registry.stage_changes (model_id, number, id);

CREATE TABLE delivery.events (
    seq BIGSERIAL NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    deployment_id INTEGER NOT NULL,
    rollout_id INTEGER,
    revision INTEGER,
    kind VARCHAR NOT NULL,
    message TEXT NOT NULL,
    data JSON NOT NULL,
    PRIMARY KEY (seq),
    FOREIGN KEY(deployment_id) REFERENCES delivery.deployments (id),
    FOREIGN KEY(rollout_id) REFERENCES delivery.rollouts (id)
);

CREATE INDEX events_of_a_deployment ON delivery.events (deployment_id, seq);

CREATE TABLE delivery.hook_answers (
    rollout_id INTEGER NOT NULL,
    type VARCHAR NOT NULL,
    hook VARCHAR NOT NULL,
    step INTEGER NOT NULL,
    said JSON NOT NULL,
    PRIMARY KEY (rollout_id, type, hook, step),
    FOREIGN KEY(rollout_id) REFERENCES delivery.rollouts (id)
);

CREATE TABLE delivery.looks (
    id BIGSERIAL NOT NULL,
    rollout_id INTEGER NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    data JSON NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(rollout_id) REFERENCES delivery.rollouts (id)
);

CREATE INDEX looks_of_a_rollout ON delivery.looks (rollout_id, id);

CREATE TABLE registry.alias_moves (
    id SERIAL NOT NULL,
    model_id INTEGER NOT NULL,
    alias VARCHAR NOT NULL,
    before INTEGER,
    number INTEGER,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    by VARCHAR NOT NULL,
    reason TEXT NOT NULL,
    rollout_id INTEGER,
    PRIMARY KEY (id),
    FOREIGN KEY(model_id) REFERENCES registry.models (id),
    FOREIGN KEY(rollout_id) REFERENCES delivery.rollouts (id)
);

CREATE INDEX moves_of_an_alias ON registry.alias_moves (model_id, alias, id);

CREATE TABLE registry.deployed_versions (
    deployment_id INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    model_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    asked VARCHAR,
    follows VARCHAR,
    by VARCHAR NOT NULL,
    rollout_id INTEGER NOT NULL,
    PRIMARY KEY (deployment_id, revision),
    FOREIGN KEY(deployment_id, revision) REFERENCES delivery.revisions (deployment_id, number),
    FOREIGN KEY(model_id, number) REFERENCES registry.model_versions (model_id, number),
    FOREIGN KEY(rollout_id) REFERENCES delivery.rollouts (id)
);

CREATE INDEX deployments_of_a_model_version ON registry.deployed_versions (model_id, number);

CREATE TABLE delivery.notifications (
    id BIGSERIAL NOT NULL,
    event_seq BIGINT NOT NULL,
    event_id VARCHAR NOT NULL,
    deployment_id INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    receiver VARCHAR NOT NULL,
    moment VARCHAR NOT NULL,
    destination JSON NOT NULL,
    state VARCHAR DEFAULT 'pending' NOT NULL,
    attempts INTEGER DEFAULT 0 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    next_at TIMESTAMP WITH TIME ZONE,
    settled_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    CONSTRAINT states_of_a_notification CHECK (state IN ('pending', 'delivered', 'given_up')),
    CONSTRAINT a_pending_notification_has_its_next_time_and_no_other_has CHECK ((state = 'pending') = (next_at IS NOT NULL) AND (state = 'pending') = (settled_at IS NULL)),
    FOREIGN KEY(event_seq) REFERENCES delivery.events (seq),
    FOREIGN KEY(deployment_id) REFERENCES delivery.deployments (id)
);

CREATE INDEX notifications_of_a_deployment ON delivery.notifications (deployment_id, id);

CREATE INDEX notifications_that_are_due ON delivery.notifications (next_at) WHERE state = 'pending';

CREATE UNIQUE INDEX one_notification_per_event_and_receiver ON delivery.notifications (event_seq, kind, receiver);

CREATE TABLE delivery.delivery_attempts (
    notification_id BIGINT NOT NULL,
    number INTEGER NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    took_ms INTEGER NOT NULL,
    delivered BOOLEAN NOT NULL,
    status INTEGER,
    detail TEXT NOT NULL,
    PRIMARY KEY (notification_id, number),
    FOREIGN KEY(notification_id) REFERENCES delivery.notifications (id)
);

-- Triggers.
CREATE TRIGGER settled_notifications_stay BEFORE UPDATE ON delivery.notifications FOR EACH ROW WHEN (OLD.state != 'pending') EXECUTE FUNCTION delivery.refuse('a notification is settled');

CREATE TRIGGER attempts_never_change BEFORE UPDATE ON delivery.delivery_attempts FOR EACH ROW EXECUTE FUNCTION delivery.refuse('attempts are append-only');

CREATE TRIGGER ended_rollouts_stay BEFORE UPDATE ON delivery.rollouts FOR EACH ROW WHEN (OLD.ended_at IS NOT NULL) EXECUTE FUNCTION delivery.refuse('a rollout has ended');

CREATE TRIGGER revisions_never_change BEFORE UPDATE ON delivery.revisions FOR EACH ROW EXECUTE FUNCTION delivery.refuse('revisions are immutable');

CREATE TRIGGER events_never_change BEFORE UPDATE ON delivery.events FOR EACH ROW EXECUTE FUNCTION delivery.refuse('events are append-only');

CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON delivery.events FOR EACH ROW EXECUTE FUNCTION delivery.refuse('events are append-only');

CREATE TRIGGER removed_freezes_stay BEFORE UPDATE ON delivery.freezes FOR EACH ROW WHEN (OLD.removed_at IS NOT NULL) EXECUTE FUNCTION delivery.refuse('a freeze is over');

CREATE TRIGGER freezes_are_never_deleted BEFORE DELETE ON delivery.freezes FOR EACH ROW EXECUTE FUNCTION delivery.refuse('freezes stay on record');

CREATE TRIGGER model_versions_never_change BEFORE UPDATE ON registry.model_versions FOR EACH ROW WHEN (NEW.model_id <> OLD.model_id OR NEW.number <> OLD.number OR NEW.digest <> OLD.digest OR NEW.framework <> OLD.framework OR NEW.source <> OLD.source OR NEW.description <> OLD.description OR NEW.created_at <> OLD.created_at OR NEW.created_by <> OLD.created_by OR CAST(NEW.metrics AS TEXT) <> CAST(OLD.metrics AS TEXT) OR CAST(NEW.lineage AS TEXT) <> CAST(OLD.lineage AS TEXT) OR CAST(NEW.details AS TEXT) <> CAST(OLD.details AS TEXT)) EXECUTE FUNCTION delivery.refuse('versions of a model are immutable');

CREATE TRIGGER model_versions_are_never_deleted BEFORE DELETE ON registry.model_versions FOR EACH ROW EXECUTE FUNCTION delivery.refuse('versions of a model stay on record');

CREATE TRIGGER models_are_never_deleted BEFORE DELETE ON registry.models FOR EACH ROW EXECUTE FUNCTION delivery.refuse('models stay on record');

CREATE TRIGGER alias_moves_never_change BEFORE UPDATE ON registry.alias_moves FOR EACH ROW EXECUTE FUNCTION delivery.refuse('moves of an alias are append-only');

CREATE TRIGGER alias_moves_are_never_deleted BEFORE DELETE ON registry.alias_moves FOR EACH ROW EXECUTE FUNCTION delivery.refuse('moves of an alias are append-only');

CREATE TRIGGER stage_changes_never_change BEFORE UPDATE ON registry.stage_changes FOR EACH ROW EXECUTE FUNCTION delivery.refuse('changes of a stage are append-only');

CREATE TRIGGER stage_changes_are_never_deleted BEFORE DELETE ON registry.stage_changes FOR EACH ROW EXECUTE FUNCTION delivery.refuse('changes of a stage are append-only');

CREATE TRIGGER deployed_versions_never_change BEFORE UPDATE ON registry.deployed_versions FOR EACH ROW EXECUTE FUNCTION delivery.refuse('the version of a revision is immutable');

CREATE TRIGGER deployed_versions_are_never_deleted BEFORE DELETE ON registry.deployed_versions FOR EACH ROW EXECUTE FUNCTION delivery.refuse('the version of a revision is immutable');

-- For how long rows are kept.
INSERT INTO telemetry.retention (table_name, days) VALUES ('feature_history', NULL);

INSERT INTO telemetry.retention (table_name, days) VALUES ('predictions', 90);

INSERT INTO telemetry.retention (table_name, days) VALUES ('outcomes', 90);

INSERT INTO telemetry.retention (table_name, days) VALUES ('drift_readings', 400);

-- Privileges.
GRANT USAGE ON SCHEMA delivery TO tidegate_controller, tidegate_analyst;

GRANT SELECT ON ALL TABLES IN SCHEMA delivery TO tidegate_controller, tidegate_analyst;

GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA delivery TO tidegate_controller;

GRANT USAGE ON ALL SEQUENCES IN SCHEMA delivery TO tidegate_controller;

GRANT USAGE ON SCHEMA registry TO tidegate_controller, tidegate_analyst;

GRANT SELECT ON ALL TABLES IN SCHEMA registry TO tidegate_controller, tidegate_analyst;

GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA registry TO tidegate_controller;

GRANT USAGE ON ALL SEQUENCES IN SCHEMA registry TO tidegate_controller;

GRANT USAGE ON SCHEMA features TO tidegate_controller, tidegate_analyst;

GRANT SELECT ON ALL TABLES IN SCHEMA features TO tidegate_controller, tidegate_analyst;

GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA features TO tidegate_controller;

GRANT USAGE ON ALL SEQUENCES IN SCHEMA features TO tidegate_controller;

GRANT USAGE ON SCHEMA telemetry TO tidegate_controller, tidegate_analyst;

GRANT SELECT ON ALL TABLES IN SCHEMA telemetry TO tidegate_controller, tidegate_analyst;

GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA telemetry TO tidegate_controller;

GRANT USAGE ON ALL SEQUENCES IN SCHEMA telemetry TO tidegate_controller;

REVOKE INSERT, UPDATE, DELETE ON delivery.schema_version FROM tidegate_controller;

REVOKE UPDATE, DELETE ON telemetry.outcomes FROM tidegate_controller;

GRANT USAGE ON SCHEMA features, telemetry TO tidegate_serving;

GRANT SELECT ON features.feature_views, features.feature_vectors TO tidegate_serving;

GRANT INSERT ON telemetry.predictions TO tidegate_serving;

-- What extensions need is a superuser's business.
RESET ROLE;

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_partman') THEN
        CREATE SCHEMA IF NOT EXISTS partman;
        CREATE EXTENSION IF NOT EXISTS pg_partman SCHEMA partman;
        GRANT USAGE, CREATE ON SCHEMA partman TO tidegate_owner;
        GRANT ALL ON ALL TABLES IN SCHEMA partman TO tidegate_owner;
        GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA partman TO tidegate_owner;
        GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA partman TO tidegate_owner;
    END IF;
END $$;

-- Days are those of UTC, for pg_partman's background worker as well.
SET LOCAL timezone = 'UTC';

DO $$ BEGIN
    EXECUTE 'ALTER DATABASE ' || quote_ident(current_database()) || ' SET timezone TO ''UTC''';
END $$;

-- Partitions: pg_partman's where there is that extension, else plain ones, which `tidegate db maintain` makes.
SET LOCAL ROLE tidegate_owner;

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_partman') THEN
        IF (SELECT extversion FROM pg_extension WHERE extname = 'pg_partman') ~ '^4[.]' THEN
            PERFORM partman.create_parent(
                p_parent_table := 'features.feature_history', p_control := 'at', p_type := 'native', p_interval := 'monthly',
                p_premake := 7);
        ELSE
            PERFORM partman.create_parent(
                p_parent_table := 'features.feature_history', p_control := 'at', p_interval := '1 month', p_premake := 7);
        END IF;
        UPDATE partman.part_config
        SET retention = NULL, retention_keep_table = false,
            infinite_time_partitions = true, ignore_default_data = true, inherit_privileges = true
        WHERE parent_table = 'features.feature_history';
    ELSE
        CREATE TABLE features.feature_history_default PARTITION OF features.feature_history DEFAULT;
    END IF;
END $$;

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_partman') THEN
        IF (SELECT extversion FROM pg_extension WHERE extname = 'pg_partman') ~ '^4[.]' THEN
            PERFORM partman.create_parent(
                p_parent_table := 'telemetry.predictions', p_control := 'at', p_type := 'native', p_interval := 'daily',
                p_premake := 7);
        ELSE
            PERFORM partman.create_parent(
                p_parent_table := 'telemetry.predictions', p_control := 'at', p_interval := '1 day', p_premake := 7);
        END IF;
        UPDATE partman.part_config
        SET retention = '90 days', retention_keep_table = false,
            infinite_time_partitions = true, ignore_default_data = true, inherit_privileges = true
        WHERE parent_table = 'telemetry.predictions';
    ELSE
        CREATE TABLE telemetry.predictions_default PARTITION OF telemetry.predictions DEFAULT;
    END IF;
END $$;

DO $$ BEGIN
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
        SET retention = '90 days', retention_keep_table = false,
            infinite_time_partitions = true, ignore_default_data = true, inherit_privileges = true
        WHERE parent_table = 'telemetry.outcomes';
    ELSE
        CREATE TABLE telemetry.outcomes_default PARTITION OF telemetry.outcomes DEFAULT;
    END IF;
END $$;

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_partman') THEN
        IF (SELECT extversion FROM pg_extension WHERE extname = 'pg_partman') ~ '^4[.]' THEN
            PERFORM partman.create_parent(
                p_parent_table := 'telemetry.drift_readings', p_control := 'at', p_type := 'native', p_interval := 'monthly',
                p_premake := 7);
        ELSE
            PERFORM partman.create_parent(
                p_parent_table := 'telemetry.drift_readings', p_control := 'at', p_interval := '1 month', p_premake := 7);
        END IF;
        UPDATE partman.part_config
        SET retention = '400 days', retention_keep_table = false,
            infinite_time_partitions = true, ignore_default_data = true, inherit_privileges = true
        WHERE parent_table = 'telemetry.drift_readings';
    ELSE
        CREATE TABLE telemetry.drift_readings_default PARTITION OF telemetry.drift_readings DEFAULT;
    END IF;
END $$;

RESET ROLE;

-- Which version this is.
INSERT INTO delivery.schema_version (version_num) VALUES ('0003');

COMMIT;
