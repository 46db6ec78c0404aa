-- Takes back what 0001 added. The collation becomes the default of the server, as the Python tool makes its tables.

-- The columns of a foreign key cannot change one by one, so the keys go and come back at the end.
--@ when constraint job_actions.job_actions_ibfk_2
ALTER TABLE job_actions
    DROP FOREIGN KEY job_actions_ibfk_1,
    DROP FOREIGN KEY job_actions_ibfk_2;

--@ when collation job_actions utf8mb4_bin
ALTER TABLE job_actions
    ROW_FORMAT=DEFAULT,
    CONVERT TO CHARACTER SET utf8mb4;

--@ when index jobs.ix_jobs_project
ALTER TABLE jobs
    DROP INDEX ix_jobs_client,
    DROP INDEX ix_jobs_project,
    ROW_FORMAT=DEFAULT,
    CONVERT TO CHARACTER SET utf8mb4,
    MODIFY schedule TEXT;

--@ when index actions.ix_actions_project
ALTER TABLE actions
    DROP INDEX ix_actions_naming_client,
    DROP INDEX ix_actions_project,
    DROP COLUMN names_client_id,
    ROW_FORMAT=DEFAULT,
    CONVERT TO CHARACTER SET utf8mb4,
    MODIFY backup_metadata TEXT;

--@ when index sessions.ix_sessions_project
ALTER TABLE sessions
    DROP INDEX ix_sessions_project,
    ROW_FORMAT=DEFAULT,
    CONVERT TO CHARACTER SET utf8mb4,
    MODIFY schedule TEXT,
    MODIFY job TEXT;

--@ when index backups.ix_backups_project
ALTER TABLE backups
    DROP INDEX ix_backups_project,
    ROW_FORMAT=DEFAULT,
    CONVERT TO CHARACTER SET utf8mb4,
    MODIFY backup_metadata TEXT;

--@ when index clients.ix_clients_project
ALTER TABLE clients
    DROP INDEX ix_clients_client,
    DROP INDEX ix_clients_project,
    ROW_FORMAT=DEFAULT,
    CONVERT TO CHARACTER SET utf8mb4,
    MODIFY hostname VARCHAR(128);

--@ when index user_credentials.ix_user_credentials_trust
ALTER TABLE user_credentials
    DROP INDEX ix_user_credentials_job,
    DROP INDEX ix_user_credentials_trust,
    ROW_FORMAT=DEFAULT,
    CONVERT TO CHARACTER SET utf8mb4;

--@ when collation action_reports utf8mb4_bin
ALTER TABLE action_reports
    ROW_FORMAT=DEFAULT,
    CONVERT TO CHARACTER SET utf8mb4;

--@ unless constraint job_actions.job_actions_ibfk_2
ALTER TABLE job_actions
    ADD CONSTRAINT job_actions_ibfk_1 FOREIGN KEY (job_id) REFERENCES jobs (id),
    ADD CONSTRAINT job_actions_ibfk_2 FOREIGN KEY (action_id) REFERENCES actions (id);

--@ when table client_registrations
DROP TABLE client_registrations;
