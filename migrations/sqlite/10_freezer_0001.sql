-- Ours, 0001: indexes, documents as text, and the lock of registrations

-- Databases from before Alembic have shorter user ids; the Python tool leaves them so. Widths bind nobody here.
--@ unless type clients.user_id VARCHAR(64) NOT NULL
CREATE TABLE new_clients (
    id VARCHAR(255) NOT NULL,
    project_id VARCHAR(36),
    user_id VARCHAR(64) NOT NULL,
    client_id VARCHAR(255) NOT NULL,
    hostname VARCHAR(128),
    description VARCHAR(255),
    uuid VARCHAR(36) NOT NULL,
    deleted_at DATETIME,
    deleted BOOLEAN,
    created_at DATETIME,
    updated_at DATETIME,
    supported_actions VARCHAR(255),
    supported_modes VARCHAR(255),
    supported_storages VARCHAR(255),
    supported_engines VARCHAR(255),
    is_central BOOLEAN DEFAULT 0 NOT NULL,
    PRIMARY KEY (id)
);

--@ when table new_clients
INSERT INTO new_clients (
    id, project_id, user_id, client_id, hostname, description, uuid, deleted_at, deleted,
    created_at, updated_at, supported_actions, supported_modes, supported_storages,
    supported_engines, is_central
)
SELECT
    id, project_id, user_id, client_id, hostname, description, uuid, deleted_at, deleted,
    created_at, updated_at, supported_actions, supported_modes, supported_storages,
    supported_engines, is_central
FROM clients;

--@ when table new_clients
DROP TABLE clients;

--@ when table new_clients
ALTER TABLE new_clients RENAME TO clients;

--@ unless type actions.user_id VARCHAR(64) NOT NULL
CREATE TABLE new_actions (
    id VARCHAR(36) NOT NULL,
    action VARCHAR(255) NOT NULL,
    project_id VARCHAR(36),
    user_id VARCHAR(64) NOT NULL,
    actionmode VARCHAR(255),
    path_to_backup VARCHAR(255),
    backup_name VARCHAR(255),
    container VARCHAR(255),
    timeout INTEGER,
    priority INTEGER,
    max_retries_interval INTEGER,
    max_retries INTEGER,
    mandatory BOOLEAN,
    log_file VARCHAR(255),
    backup_metadata TEXT,
    deleted_at DATETIME,
    deleted BOOLEAN,
    created_at DATETIME,
    updated_at DATETIME,
    PRIMARY KEY (id)
);

--@ when table new_actions
INSERT INTO new_actions (
    id, action, project_id, user_id, actionmode, path_to_backup, backup_name, container, timeout,
    priority, max_retries_interval, max_retries, mandatory, log_file, backup_metadata, deleted_at,
    deleted, created_at, updated_at
)
SELECT
    id, action, project_id, user_id, actionmode, path_to_backup, backup_name, container, timeout,
    priority, max_retries_interval, max_retries, mandatory, log_file, backup_metadata, deleted_at,
    deleted, created_at, updated_at
FROM actions;

--@ when table new_actions
DROP TABLE actions;

--@ when table new_actions
ALTER TABLE new_actions RENAME TO actions;

--@ unless type action_reports.user_id VARCHAR(64) NOT NULL
CREATE TABLE new_action_reports (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(36),
    user_id VARCHAR(64) NOT NULL,
    result VARCHAR(255),
    time_elapsed VARCHAR(255),
    report_date TIMESTAMP,
    log BLOB,
    deleted_at DATETIME,
    deleted BOOLEAN,
    created_at DATETIME,
    updated_at DATETIME,
    PRIMARY KEY (id)
);

--@ when table new_action_reports
INSERT INTO new_action_reports (
    id, project_id, user_id, result, time_elapsed, report_date, log, deleted_at, deleted,
    created_at, updated_at
)
SELECT
    id, project_id, user_id, result, time_elapsed, report_date, log, deleted_at, deleted,
    created_at, updated_at
FROM action_reports;

--@ when table new_action_reports
DROP TABLE action_reports;

--@ when table new_action_reports
ALTER TABLE new_action_reports RENAME TO action_reports;

--@ when type backups.job_id VARCHAR(36) NOT NULL
CREATE TABLE new_backups (
    id VARCHAR(36) NOT NULL,
    job_id VARCHAR(36),
    project_id VARCHAR(36),
    user_id VARCHAR(64) NOT NULL,
    backup_metadata TEXT,
    deleted_at DATETIME,
    deleted BOOLEAN,
    created_at DATETIME,
    updated_at DATETIME,
    status VARCHAR(64) DEFAULT 'available' NOT NULL,
    PRIMARY KEY (id)
);

--@ when table new_backups
INSERT INTO new_backups (
    id, job_id, project_id, user_id, backup_metadata, deleted_at, deleted, created_at, updated_at,
    status
)
SELECT
    id, job_id, project_id, user_id, backup_metadata, deleted_at, deleted, created_at, updated_at,
    status
FROM backups;

--@ when table new_backups
DROP TABLE backups;

--@ when table new_backups
ALTER TABLE new_backups RENAME TO backups;

--@ unless index jobs.ix_jobs_client
CREATE INDEX ix_jobs_client ON jobs (client_id, project_id, created_at, id);

-- With deleted, so that SQLite prefers it to ix_actions_project.
--@ unless index actions.ix_actions_naming_client
CREATE INDEX ix_actions_naming_client ON actions (project_id, deleted) WHERE backup_metadata LIKE '%"client_id":%';

--@ unless index clients.ix_clients_client
CREATE INDEX ix_clients_client ON clients (client_id);

--@ unless index jobs.ix_jobs_project
CREATE INDEX ix_jobs_project ON jobs (project_id, deleted, created_at, id);

--@ unless index actions.ix_actions_project
CREATE INDEX ix_actions_project ON actions (project_id, created_at, id);

--@ unless index sessions.ix_sessions_project
CREATE INDEX ix_sessions_project ON sessions (project_id, created_at, id);

--@ unless index backups.ix_backups_project
CREATE INDEX ix_backups_project ON backups (project_id, deleted, created_at, id);

--@ unless index clients.ix_clients_project
CREATE INDEX ix_clients_project ON clients (project_id, created_at, id);

--@ unless index user_credentials.ix_user_credentials_job
CREATE INDEX ix_user_credentials_job ON user_credentials (job_id);

--@ unless index user_credentials.ix_user_credentials_trust
CREATE INDEX ix_user_credentials_trust ON user_credentials (trust_id);

-- The Python service writes documents as BLOBs here, which neither JSON functions nor comparisons take for text.
UPDATE jobs SET schedule = CAST(schedule AS TEXT)
WHERE typeof(schedule) = 'blob';

CREATE TRIGGER IF NOT EXISTS text_of_new_jobs AFTER INSERT ON jobs
WHEN typeof(NEW.schedule) = 'blob'
BEGIN UPDATE jobs SET schedule = CAST(schedule AS TEXT) WHERE id = NEW.id; END;

CREATE TRIGGER IF NOT EXISTS text_of_changed_jobs AFTER UPDATE OF schedule ON jobs
WHEN typeof(NEW.schedule) = 'blob'
BEGIN UPDATE jobs SET schedule = CAST(schedule AS TEXT) WHERE id = NEW.id; END;

UPDATE actions SET backup_metadata = CAST(backup_metadata AS TEXT)
WHERE typeof(backup_metadata) = 'blob';

CREATE TRIGGER IF NOT EXISTS text_of_new_actions AFTER INSERT ON actions
WHEN typeof(NEW.backup_metadata) = 'blob'
BEGIN UPDATE actions SET backup_metadata = CAST(backup_metadata AS TEXT) WHERE id = NEW.id; END;

CREATE TRIGGER IF NOT EXISTS text_of_changed_actions AFTER UPDATE OF backup_metadata ON actions
WHEN typeof(NEW.backup_metadata) = 'blob'
BEGIN UPDATE actions SET backup_metadata = CAST(backup_metadata AS TEXT) WHERE id = NEW.id; END;

UPDATE sessions SET schedule = CAST(schedule AS TEXT), job = CAST(job AS TEXT)
WHERE typeof(schedule) = 'blob' OR typeof(job) = 'blob';

CREATE TRIGGER IF NOT EXISTS text_of_new_sessions AFTER INSERT ON sessions
WHEN typeof(NEW.schedule) = 'blob' OR typeof(NEW.job) = 'blob'
BEGIN UPDATE sessions SET schedule = CAST(schedule AS TEXT), job = CAST(job AS TEXT) WHERE id = NEW.id; END;

CREATE TRIGGER IF NOT EXISTS text_of_changed_sessions AFTER UPDATE OF schedule, job ON sessions
WHEN typeof(NEW.schedule) = 'blob' OR typeof(NEW.job) = 'blob'
BEGIN UPDATE sessions SET schedule = CAST(schedule AS TEXT), job = CAST(job AS TEXT) WHERE id = NEW.id; END;

UPDATE backups SET backup_metadata = CAST(backup_metadata AS TEXT)
WHERE typeof(backup_metadata) = 'blob';

CREATE TRIGGER IF NOT EXISTS text_of_new_backups AFTER INSERT ON backups
WHEN typeof(NEW.backup_metadata) = 'blob'
BEGIN UPDATE backups SET backup_metadata = CAST(backup_metadata AS TEXT) WHERE id = NEW.id; END;

CREATE TRIGGER IF NOT EXISTS text_of_changed_backups AFTER UPDATE OF backup_metadata ON backups
WHEN typeof(NEW.backup_metadata) = 'blob'
BEGIN UPDATE backups SET backup_metadata = CAST(backup_metadata AS TEXT) WHERE id = NEW.id; END;

UPDATE clients SET supported_actions = CAST(supported_actions AS TEXT), supported_modes = CAST(supported_modes AS TEXT), supported_storages = CAST(supported_storages AS TEXT), supported_engines = CAST(supported_engines AS TEXT)
WHERE typeof(supported_actions) = 'blob' OR typeof(supported_modes) = 'blob' OR typeof(supported_storages) = 'blob' OR typeof(supported_engines) = 'blob';

CREATE TRIGGER IF NOT EXISTS text_of_new_clients AFTER INSERT ON clients
WHEN typeof(NEW.supported_actions) = 'blob' OR typeof(NEW.supported_modes) = 'blob' OR typeof(NEW.supported_storages) = 'blob' OR typeof(NEW.supported_engines) = 'blob'
BEGIN UPDATE clients SET supported_actions = CAST(supported_actions AS TEXT), supported_modes = CAST(supported_modes AS TEXT), supported_storages = CAST(supported_storages AS TEXT), supported_engines = CAST(supported_engines AS TEXT) WHERE id = NEW.id; END;

CREATE TRIGGER IF NOT EXISTS text_of_changed_clients AFTER UPDATE OF supported_actions, supported_modes, supported_storages, supported_engines ON clients
WHEN typeof(NEW.supported_actions) = 'blob' OR typeof(NEW.supported_modes) = 'blob' OR typeof(NEW.supported_storages) = 'blob' OR typeof(NEW.supported_engines) = 'blob'
BEGIN UPDATE clients SET supported_actions = CAST(supported_actions AS TEXT), supported_modes = CAST(supported_modes AS TEXT), supported_storages = CAST(supported_storages AS TEXT), supported_engines = CAST(supported_engines AS TEXT) WHERE id = NEW.id; END;

-- One row for each name under which clients were registered; its lock keeps two registrations apart.
--@ unless table client_registrations
CREATE TABLE client_registrations (
    client_id VARCHAR(255) NOT NULL,
    registrations BIGINT NOT NULL,
    PRIMARY KEY (client_id)
);
