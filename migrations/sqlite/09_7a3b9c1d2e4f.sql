-- 7a3b9c1d2e4f: user ids of 64 characters in jobs and sessions. SQLite cannot change a type, so the tables are made anew.

CREATE TABLE wide_jobs (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(36),
    user_id VARCHAR(64) NOT NULL,
    schedule TEXT,
    client_id VARCHAR(255) NOT NULL,
    session_id VARCHAR(36),
    session_tag INTEGER,
    description VARCHAR(255),
    deleted_at DATETIME,
    deleted BOOLEAN,
    created_at DATETIME,
    updated_at DATETIME,
    PRIMARY KEY (id)
);

INSERT INTO wide_jobs (
    id, project_id, user_id, schedule, client_id, session_id, session_tag, description, deleted_at,
    deleted, created_at, updated_at
)
SELECT
    id, project_id, user_id, schedule, client_id, session_id, session_tag, description, deleted_at,
    deleted, created_at, updated_at
FROM jobs;

DROP TABLE jobs;

ALTER TABLE wide_jobs RENAME TO jobs;

CREATE TABLE wide_sessions (
    id VARCHAR(36) NOT NULL,
    session_tag INTEGER,
    description VARCHAR(255),
    hold_off INTEGER,
    schedule TEXT,
    job TEXT,
    project_id VARCHAR(36),
    user_id VARCHAR(64) NOT NULL,
    time_start INTEGER,
    time_end INTEGER,
    time_started INTEGER,
    time_ended INTEGER,
    status VARCHAR(255),
    result VARCHAR(255),
    deleted_at DATETIME,
    deleted BOOLEAN,
    created_at DATETIME,
    updated_at DATETIME,
    PRIMARY KEY (id)
);

INSERT INTO wide_sessions (
    id, session_tag, description, hold_off, schedule, job, project_id, user_id, time_start,
    time_end, time_started, time_ended, status, result, deleted_at, deleted, created_at, updated_at
)
SELECT
    id, session_tag, description, hold_off, schedule, job, project_id, user_id, time_start,
    time_end, time_started, time_ended, status, result, deleted_at, deleted, created_at, updated_at
FROM sessions;

DROP TABLE sessions;

ALTER TABLE wide_sessions RENAME TO sessions;
