CREATE TABLE IF NOT EXISTS deployments (
    id INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    stable INTEGER,
    created_at VARCHAR NOT NULL,
    deleted_at VARCHAR,
    PRIMARY KEY (id)
);

CREATE UNIQUE INDEX IF NOT EXISTS one_living_deployment_per_name ON deployments (name) WHERE deleted_at IS NULL;

CREATE TABLE IF NOT EXISTS freezes (
    id INTEGER NOT NULL,
    deployment VARCHAR,
    reason TEXT NOT NULL,
    "by" VARCHAR NOT NULL,
    starts_at VARCHAR NOT NULL,
    ends_at VARCHAR NOT NULL,
    created_at VARCHAR NOT NULL,
    removed_at VARCHAR,
    removed_by VARCHAR,
    PRIMARY KEY (id),
    CONSTRAINT a_freeze_ends_after_its_start CHECK (ends_at > starts_at)
);

CREATE TABLE IF NOT EXISTS served_position (
    id INTEGER NOT NULL,
    file INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE IF NOT EXISTS outcomes (
    deployment_id INTEGER NOT NULL,
    request_id VARCHAR NOT NULL,
    bad INTEGER NOT NULL,
    at INTEGER NOT NULL,
    told_at INTEGER NOT NULL,
    PRIMARY KEY (deployment_id, request_id),
    CONSTRAINT an_outcome_is_good_or_bad CHECK (bad IN (0, 1)),
    FOREIGN KEY(deployment_id) REFERENCES deployments (id)
);

CREATE INDEX IF NOT EXISTS outcomes_by_age ON outcomes (deployment_id, told_at);

CREATE TABLE IF NOT EXISTS revisions (
    deployment_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    digest VARCHAR NOT NULL,
    request JSON NOT NULL,
    created_at VARCHAR NOT NULL,
    PRIMARY KEY (deployment_id, number),
    CONSTRAINT revision_numbers_start_at_one CHECK (number >= 1),
    FOREIGN KEY(deployment_id) REFERENCES deployments (id)
);

CREATE TABLE IF NOT EXISTS served_forgotten (
    deployment_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (deployment_id),
    FOREIGN KEY(deployment_id) REFERENCES deployments (id)
);

CREATE TABLE IF NOT EXISTS served_requests (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    deployment_id INTEGER NOT NULL,
    request_id VARCHAR NOT NULL,
    revision INTEGER,
    served_at INTEGER NOT NULL,
    FOREIGN KEY(deployment_id) REFERENCES deployments (id)
);

CREATE UNIQUE INDEX IF NOT EXISTS one_note_per_request ON served_requests (deployment_id, request_id);

CREATE INDEX IF NOT EXISTS served_requests_in_order ON served_requests (deployment_id, seq);

CREATE TABLE IF NOT EXISTS rollouts (
    id INTEGER NOT NULL,
    deployment_id INTEGER NOT NULL,
    from_revision INTEGER,
    to_revision INTEGER NOT NULL,
    phase VARCHAR NOT NULL,
    version INTEGER DEFAULT 0 NOT NULL,
    state JSON NOT NULL,
    evidence JSON NOT NULL,
    started_at VARCHAR NOT NULL,
    ended_at VARCHAR,
    PRIMARY KEY (id),
    FOREIGN KEY(deployment_id, to_revision) REFERENCES revisions (deployment_id, number),
    CONSTRAINT a_rollout_has_ended_exactly_in_a_terminal_phase CHECK ((ended_at IS NOT NULL) = (phase IN ('promoted', 'rolled_back', 'aborted', 'failed'))),
    FOREIGN KEY(deployment_id) REFERENCES deployments (id)
);

CREATE UNIQUE INDEX IF NOT EXISTS one_active_rollout_per_deployment ON rollouts (deployment_id) WHERE ended_at IS NULL;

CREATE INDEX IF NOT EXISTS rollouts_of_a_deployment ON rollouts (deployment_id, id);

CREATE TABLE IF NOT EXISTS events (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at VARCHAR NOT NULL,
    deployment_id INTEGER NOT NULL,
    rollout_id INTEGER,
    revision INTEGER,
    kind VARCHAR NOT NULL,
    message TEXT NOT NULL,
    data JSON NOT NULL,
    FOREIGN KEY(deployment_id) REFERENCES deployments (id),
    FOREIGN KEY(rollout_id) REFERENCES rollouts (id)
);

CREATE INDEX IF NOT EXISTS events_of_a_deployment ON events (deployment_id, seq);

CREATE TABLE IF NOT EXISTS hook_answers (
    rollout_id INTEGER NOT NULL,
    type VARCHAR NOT NULL,
    hook VARCHAR NOT NULL,
    step INTEGER NOT NULL,
    said JSON NOT NULL,
    PRIMARY KEY (rollout_id, type, hook, step),
    FOREIGN KEY(rollout_id) REFERENCES rollouts (id)
);

CREATE TABLE IF NOT EXISTS looks (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    rollout_id INTEGER NOT NULL,
    at VARCHAR NOT NULL,
    data JSON NOT NULL,
    FOREIGN KEY(rollout_id) REFERENCES rollouts (id)
);

CREATE INDEX IF NOT EXISTS looks_of_a_rollout ON looks (rollout_id, id);

CREATE TABLE IF NOT EXISTS notifications (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    event_seq INTEGER NOT NULL,
    event_id VARCHAR NOT NULL,
    deployment_id INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    receiver VARCHAR NOT NULL,
    moment VARCHAR NOT NULL,
    destination JSON NOT NULL,
    state VARCHAR DEFAULT 'pending' NOT NULL,
    attempts INTEGER DEFAULT 0 NOT NULL,
    created_at VARCHAR NOT NULL,
    next_at VARCHAR,
    settled_at VARCHAR,
    CONSTRAINT states_of_a_notification CHECK (state IN ('pending', 'delivered', 'given_up')),
    CONSTRAINT a_pending_notification_has_its_next_time_and_no_other_has CHECK ((state = 'pending') = (next_at IS NOT NULL) AND (state = 'pending') = (settled_at IS NULL)),
    FOREIGN KEY(event_seq) REFERENCES events (seq),
    FOREIGN KEY(deployment_id) REFERENCES deployments (id)
);

CREATE INDEX IF NOT EXISTS notifications_of_a_deployment ON notifications (deployment_id, id);

CREATE INDEX IF NOT EXISTS notifications_that_are_due ON notifications (next_at) WHERE state = 'pending';

CREATE UNIQUE INDEX IF NOT EXISTS one_notification_per_event_and_receiver ON notifications (event_seq, kind, receiver);

CREATE TABLE IF NOT EXISTS delivery_attempts (
    notification_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    at VARCHAR NOT NULL,
    took_ms INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    status INTEGER,
    detail TEXT NOT NULL,
    PRIMARY KEY (notification_id, number),
    FOREIGN KEY(notification_id) REFERENCES notifications (id)
);

CREATE TRIGGER IF NOT EXISTS settled_notifications_stay BEFORE UPDATE ON notifications WHEN OLD.state != 'pending' BEGIN SELECT RAISE(ABORT, 'a notification is settled'); END;

CREATE TRIGGER IF NOT EXISTS attempts_never_change BEFORE UPDATE ON delivery_attempts BEGIN SELECT RAISE(ABORT, 'attempts are append-only'); END;

CREATE TRIGGER IF NOT EXISTS ended_rollouts_stay BEFORE UPDATE ON rollouts WHEN OLD.ended_at IS NOT NULL BEGIN SELECT RAISE(ABORT, 'a rollout has ended'); END;

CREATE TRIGGER IF NOT EXISTS revisions_never_change BEFORE UPDATE ON revisions BEGIN SELECT RAISE(ABORT, 'revisions are immutable'); END;

CREATE TRIGGER IF NOT EXISTS events_never_change BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;

CREATE TRIGGER IF NOT EXISTS events_are_never_deleted BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;

CREATE TRIGGER IF NOT EXISTS removed_freezes_stay BEFORE UPDATE ON freezes WHEN OLD.removed_at IS NOT NULL BEGIN SELECT RAISE(ABORT, 'a freeze is over'); END;

CREATE TRIGGER IF NOT EXISTS freezes_are_never_deleted BEFORE DELETE ON freezes BEGIN SELECT RAISE(ABORT, 'freezes stay on record'); END;
