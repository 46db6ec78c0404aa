-- Ours, 0001: ids compare exactly, documents may be large, and indexes. One ALTER for each table, so that it is copied once.

-- The columns of a foreign key cannot change one by one, so the keys go and come back at the end.
--@ when constraint job_actions.job_actions_ibfk_2
ALTER TABLE job_actions
    DROP FOREIGN KEY job_actions_ibfk_1,
    DROP FOREIGN KEY job_actions_ibfk_2;

--@ unless collation job_actions utf8mb4_bin
ALTER TABLE job_actions
    ENGINE=InnoDB, ROW_FORMAT=DYNAMIC,
    CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

--@ unless index jobs.ix_jobs_project
ALTER TABLE jobs
    ENGINE=InnoDB, ROW_FORMAT=DYNAMIC,
    CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    MODIFY project_id VARCHAR(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    MODIFY schedule MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    ADD INDEX ix_jobs_client (client_id, project_id, created_at, id),
    ADD INDEX ix_jobs_project (project_id, deleted, created_at, id);

--@ unless index actions.ix_actions_project
ALTER TABLE actions
    ENGINE=InnoDB, ROW_FORMAT=DYNAMIC,
    CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    MODIFY project_id VARCHAR(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    MODIFY user_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    MODIFY backup_metadata MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    ADD COLUMN names_client_id BOOL GENERATED ALWAYS AS
        (LOCATE(_utf8mb4'"client_id":' COLLATE utf8mb4_bin, backup_metadata) > 0) VIRTUAL,
    ADD INDEX ix_actions_naming_client (names_client_id, project_id),
    ADD INDEX ix_actions_project (project_id, created_at, id);

--@ unless index sessions.ix_sessions_project
ALTER TABLE sessions
    ENGINE=InnoDB, ROW_FORMAT=DYNAMIC,
    CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    MODIFY project_id VARCHAR(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    MODIFY schedule MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    MODIFY job MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    ADD INDEX ix_sessions_project (project_id, created_at, id);

--@ unless index backups.ix_backups_project
ALTER TABLE backups
    ENGINE=InnoDB, ROW_FORMAT=DYNAMIC,
    CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    MODIFY job_id VARCHAR(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    MODIFY project_id VARCHAR(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    MODIFY backup_metadata MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    ADD INDEX ix_backups_project (project_id, deleted, created_at, id);

--@ unless index clients.ix_clients_project
ALTER TABLE clients
    ENGINE=InnoDB, ROW_FORMAT=DYNAMIC,
    CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    MODIFY project_id VARCHAR(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    MODIFY user_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    MODIFY hostname VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    ADD INDEX ix_clients_client (client_id),
    ADD INDEX ix_clients_project (project_id, created_at, id);

--@ unless index user_credentials.ix_user_credentials_trust
ALTER TABLE user_credentials
    ENGINE=InnoDB, ROW_FORMAT=DYNAMIC,
    CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    ADD INDEX ix_user_credentials_job (job_id),
    ADD INDEX ix_user_credentials_trust (trust_id);

--@ unless collation action_reports utf8mb4_bin
ALTER TABLE action_reports
    ENGINE=InnoDB, ROW_FORMAT=DYNAMIC,
    CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    MODIFY user_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL;

--@ unless constraint job_actions.job_actions_ibfk_2
ALTER TABLE job_actions
    ADD CONSTRAINT job_actions_ibfk_1 FOREIGN KEY (job_id) REFERENCES jobs (id),
    ADD CONSTRAINT job_actions_ibfk_2 FOREIGN KEY (action_id) REFERENCES actions (id);

-- One row for each name under which clients were registered; its lock keeps two registrations apart.
--@ unless table client_registrations
CREATE TABLE client_registrations (
    client_id VARCHAR(255) NOT NULL,
    registrations BIGINT NOT NULL,
    PRIMARY KEY (client_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
