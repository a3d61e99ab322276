CREATE TABLE leadership (
    id INTEGER NOT NULL,
    term INTEGER NOT NULL,
    holder VARCHAR NOT NULL,
    since VARCHAR NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT one_controller_leads CHECK (id = 1)
);

CREATE TABLE feature_views (
    id INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    entity VARCHAR NOT NULL,
    schema JSON,
    created_at VARCHAR NOT NULL,
    created_by VARCHAR NOT NULL,
    loaded_at VARCHAR,
    PRIMARY KEY (id),
    UNIQUE (name)
);

CREATE TABLE feature_history (
    view_id INTEGER NOT NULL,
    entity VARCHAR NOT NULL,
    at VARCHAR NOT NULL,
    written_at VARCHAR NOT NULL,
    vector JSON NOT NULL,
    PRIMARY KEY (view_id, entity, at, written_at)
);

CREATE TABLE models (
    id INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    description TEXT DEFAULT '' NOT NULL,
    created_at VARCHAR NOT NULL,
    created_by VARCHAR NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (name)
);

CREATE TABLE retention (
    table_name VARCHAR NOT NULL,
    days INTEGER,
    PRIMARY KEY (table_name),
    CONSTRAINT rows_are_kept_for_a_day_at_least CHECK (days >= 1)
);

CREATE TABLE predictions (
    at VARCHAR NOT NULL,
    request_id VARCHAR NOT NULL,
    deployment VARCHAR NOT NULL,
    revision INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    inputs JSON NOT NULL,
    outputs JSON NOT NULL
);

CREATE TABLE observations (
    at VARCHAR NOT NULL,
    request_id VARCHAR NOT NULL,
    deployment VARCHAR NOT NULL,
    value JSON NOT NULL
);

CREATE TABLE drift_readings (
    at VARCHAR NOT NULL,
    deployment VARCHAR NOT NULL,
    revision INTEGER NOT NULL,
    "column" VARCHAR NOT NULL,
    rows INTEGER NOT NULL,
    psi FLOAT,
    level VARCHAR NOT NULL,
    data JSON NOT NULL
);

CREATE TABLE feature_vectors (
    view_id INTEGER NOT NULL,
    entity VARCHAR NOT NULL,
    at VARCHAR NOT NULL,
    written_at VARCHAR NOT NULL,
    vector JSON NOT NULL,
    PRIMARY KEY (view_id, entity),
    FOREIGN KEY(view_id) REFERENCES feature_views (id)
);

CREATE TABLE feature_quarantine (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    view_id INTEGER NOT NULL,
    received_at VARCHAR NOT NULL,
    source TEXT NOT NULL,
    position INTEGER NOT NULL,
    entity TEXT NOT NULL,
    vector TEXT NOT NULL,
    reason TEXT NOT NULL,
    FOREIGN KEY(view_id) REFERENCES feature_views (id)
);

CREATE TABLE model_versions (
    model_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    digest VARCHAR NOT NULL,
    framework VARCHAR NOT NULL,
    source TEXT NOT NULL,
    description TEXT DEFAULT '' NOT NULL,
    stage VARCHAR DEFAULT 'none' NOT NULL,
    metrics JSON NOT NULL,
    lineage JSON NOT NULL,
    details JSON NOT NULL,
    created_at VARCHAR NOT NULL,
    created_by VARCHAR NOT NULL,
    PRIMARY KEY (model_id, number),
    CONSTRAINT model_version_numbers_start_at_one CHECK (number >= 1),
    CONSTRAINT stages_of_a_model_version CHECK (stage IN ('none', 'staging', 'production', 'archived')),
    FOREIGN KEY(model_id) REFERENCES models (id)
);

CREATE TABLE stage_changes (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    model_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    "before" VARCHAR NOT NULL,
    stage VARCHAR NOT NULL,
    at VARCHAR NOT NULL,
    "by" VARCHAR NOT NULL,
    reason TEXT NOT NULL,
    FOREIGN KEY(model_id, number) REFERENCES model_versions (model_id, number)
);

CREATE TABLE model_aliases (
    model_id INTEGER NOT NULL,
    alias VARCHAR NOT NULL,
    number INTEGER NOT NULL,
    moved_at VARCHAR NOT NULL,
    moved_by VARCHAR NOT NULL,
    PRIMARY KEY (model_id, alias),
    FOREIGN KEY(model_id, number) REFERENCES model_versions (model_id, number)
);

CREATE TABLE alias_moves (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    model_id INTEGER NOT NULL,
    alias VARCHAR NOT NULL,
    "before" INTEGER,
    number INTEGER,
    at VARCHAR NOT NULL,
    "by" VARCHAR NOT NULL,
    reason TEXT NOT NULL,
    rollout_id INTEGER,
    FOREIGN KEY(model_id) REFERENCES models (id)
);

CREATE TABLE deployed_versions (
    deployment_id INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    model_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    asked VARCHAR,
    follows VARCHAR,
    "by" VARCHAR NOT NULL,
    rollout_id INTEGER NOT NULL,
    PRIMARY KEY (deployment_id, revision),
    FOREIGN KEY(model_id, number) REFERENCES model_versions (model_id, number)
);

CREATE INDEX deployments_of_a_model_version ON deployed_versions (model_id, number);

CREATE INDEX drift_readings_of_a_deployment ON drift_readings (deployment, "column", at);

CREATE INDEX model_versions_by_digest ON model_versions (digest);

CREATE INDEX moves_of_an_alias ON alias_moves (model_id, alias, id);

CREATE INDEX observations_by_request ON observations (request_id);

CREATE INDEX predictions_by_request ON predictions (request_id);

CREATE INDEX predictions_of_a_deployment ON predictions (deployment, at);

CREATE INDEX quarantine_of_a_view ON feature_quarantine (view_id, id);

CREATE INDEX stage_changes_of_a_version ON stage_changes (model_id, number, id);

CREATE TRIGGER alias_moves_are_never_deleted BEFORE DELETE ON alias_moves BEGIN SELECT RAISE(ABORT, 'moves of an alias are append-only'); END;

CREATE TRIGGER alias_moves_never_change BEFORE UPDATE ON alias_moves BEGIN SELECT RAISE(ABORT, 'moves of an alias are append-only'); END;

CREATE TRIGGER deployed_versions_are_never_deleted BEFORE DELETE ON deployed_versions BEGIN SELECT RAISE(ABORT, 'the version of a revision is immutable'); END;

CREATE TRIGGER deployed_versions_never_change BEFORE UPDATE ON deployed_versions BEGIN SELECT RAISE(ABORT, 'the version of a revision is immutable'); END;

CREATE TRIGGER model_versions_are_never_deleted BEFORE DELETE ON model_versions BEGIN SELECT RAISE(ABORT, 'versions of a model stay on record'); END;

CREATE TRIGGER model_versions_never_change BEFORE UPDATE ON model_versions WHEN NEW.model_id <> OLD.model_id OR NEW.number <> OLD.number OR NEW.digest <> OLD.digest OR NEW.framework <> OLD.framework OR NEW.source <> OLD.source OR NEW.description <> OLD.description OR NEW.created_at <> OLD.created_at OR NEW.created_by <> OLD.created_by OR CAST(NEW.metrics AS TEXT) <> CAST(OLD.metrics AS TEXT) OR CAST(NEW.lineage AS TEXT) <> CAST(OLD.lineage AS TEXT) OR CAST(NEW.details AS TEXT) <> CAST(OLD.details AS TEXT) BEGIN SELECT RAISE(ABORT, 'versions of a model are immutable'); END;

CREATE TRIGGER models_are_never_deleted BEFORE DELETE ON models BEGIN SELECT RAISE(ABORT, 'models stay on record'); END;

CREATE TRIGGER stage_changes_are_never_deleted BEFORE DELETE ON stage_changes BEGIN SELECT RAISE(ABORT, 'changes of a stage are append-only'); END;

CREATE TRIGGER stage_changes_never_change BEFORE UPDATE ON stage_changes BEGIN SELECT RAISE(ABORT, 'changes of a stage are append-only'); END;

INSERT INTO retention (table_name, days) VALUES ('feature_history', NULL);

INSERT INTO retention (table_name, days) VALUES ('predictions', 90);

INSERT INTO retention (table_name, days) VALUES ('observations', 90);

INSERT INTO retention (table_name, days) VALUES ('drift_readings', 400);
