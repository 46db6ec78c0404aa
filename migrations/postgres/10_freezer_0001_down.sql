-- Takes back what 0001 added

--@ when index jobs.ix_jobs_client
DROP INDEX ix_jobs_client;

--@ when index actions.ix_actions_naming_client
DROP INDEX ix_actions_naming_client;

--@ when index clients.ix_clients_client
DROP INDEX ix_clients_client;

--@ when index jobs.ix_jobs_project
DROP INDEX ix_jobs_project;

--@ when index actions.ix_actions_project
DROP INDEX ix_actions_project;

--@ when index sessions.ix_sessions_project
DROP INDEX ix_sessions_project;

--@ when index backups.ix_backups_project
DROP INDEX ix_backups_project;

--@ when index clients.ix_clients_project
DROP INDEX ix_clients_project;

--@ when index user_credentials.ix_user_credentials_job
DROP INDEX ix_user_credentials_job;

--@ when index user_credentials.ix_user_credentials_trust
DROP INDEX ix_user_credentials_trust;

--@ when table client_registrations
DROP TABLE client_registrations;

--@ unless type clients.hostname character varying(128)
ALTER TABLE clients ALTER COLUMN hostname TYPE VARCHAR(128);
