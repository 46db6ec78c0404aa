-- Ours, 0001: indexes, and the lock of registrations

-- Databases from before Alembic have shorter user ids and hosts of 255 characters, which stay.
ALTER TABLE clients
    ALTER COLUMN project_id DROP NOT NULL,
    ALTER COLUMN user_id TYPE VARCHAR(64),
    ALTER COLUMN hostname TYPE VARCHAR(255),
    ALTER COLUMN hostname DROP NOT NULL;

ALTER TABLE actions
    ALTER COLUMN project_id DROP NOT NULL,
    ALTER COLUMN user_id TYPE VARCHAR(64);

ALTER TABLE sessions ALTER COLUMN project_id DROP NOT NULL;

ALTER TABLE jobs ALTER COLUMN project_id DROP NOT NULL;

ALTER TABLE backups
    ALTER COLUMN job_id DROP NOT NULL,
    ALTER COLUMN project_id DROP NOT NULL;

--@ unless index jobs.ix_jobs_client
CREATE INDEX ix_jobs_client ON jobs (client_id, project_id, created_at NULLS FIRST, id);

--@ unless index actions.ix_actions_naming_client
CREATE INDEX ix_actions_naming_client ON actions (project_id) WHERE backup_metadata LIKE '%"client_id":%';

--@ unless index clients.ix_clients_client
CREATE INDEX ix_clients_client ON clients (client_id);

--@ unless index jobs.ix_jobs_project
CREATE INDEX ix_jobs_project ON jobs (project_id, deleted, created_at NULLS FIRST, id);

--@ unless index actions.ix_actions_project
CREATE INDEX ix_actions_project ON actions (project_id, created_at NULLS FIRST, id);

--@ unless index sessions.ix_sessions_project
CREATE INDEX ix_sessions_project ON sessions (project_id, created_at NULLS FIRST, id);

--@ unless index backups.ix_backups_project
CREATE INDEX ix_backups_project ON backups (project_id, deleted, created_at NULLS FIRST, id);

--@ unless index clients.ix_clients_project
CREATE INDEX ix_clients_project ON clients (project_id, created_at NULLS FIRST, id);

--@ unless index user_credentials.ix_user_credentials_job
CREATE INDEX ix_user_credentials_job ON user_credentials (job_id);

--@ unless index user_credentials.ix_user_credentials_trust
CREATE INDEX ix_user_credentials_trust ON user_credentials (trust_id);

-- One row for each name under which clients were registered; its lock keeps two registrations apart.
--@ unless table client_registrations
CREATE TABLE client_registrations (
    client_id VARCHAR(255) NOT NULL,
    registrations BIGINT NOT NULL,
    PRIMARY KEY (client_id)
);
