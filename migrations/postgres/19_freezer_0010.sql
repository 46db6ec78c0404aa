-- Ours, 0010: what the metadata of backups are searched by

-- Each begins with the text of a member: empty without the member, a quotation mark where it occurs several times, and of large texts. src/store/members.rs asks
-- with the same words.
--@ unless index backups.ix_backups_metadata_backup_name
CREATE INDEX ix_backups_metadata_backup_name ON backups (
    (CASE
        WHEN OCTET_LENGTH(backup_metadata) > 16384 THEN '"'
        WHEN split_part(backup_metadata, '"backup_name":', 3) = '' THEN left(split_part(split_part(backup_metadata, '"backup_name":', 2), '"', 2), 130)
        ELSE '"'
    END),
    project_id, deleted, created_at NULLS FIRST, id
);

--@ unless index backups.ix_backups_metadata_hostname
CREATE INDEX ix_backups_metadata_hostname ON backups (
    (CASE
        WHEN OCTET_LENGTH(backup_metadata) > 16384 THEN '"'
        WHEN split_part(backup_metadata, '"hostname":', 3) = '' THEN left(split_part(split_part(backup_metadata, '"hostname":', 2), '"', 2), 130)
        ELSE '"'
    END),
    project_id, deleted, created_at NULLS FIRST, id
);

--@ unless index backups.ix_backups_metadata_container
CREATE INDEX ix_backups_metadata_container ON backups (
    (CASE
        WHEN OCTET_LENGTH(backup_metadata) > 16384 THEN '"'
        WHEN split_part(backup_metadata, '"container":', 3) = '' THEN left(split_part(split_part(backup_metadata, '"container":', 2), '"', 2), 130)
        ELSE '"'
    END),
    project_id, deleted, created_at NULLS FIRST, id
);

--@ unless index backups.ix_backups_metadata_client_id
CREATE INDEX ix_backups_metadata_client_id ON backups (
    (CASE
        WHEN OCTET_LENGTH(backup_metadata) > 16384 THEN '"'
        WHEN split_part(backup_metadata, '"client_id":', 3) = '' THEN left(split_part(split_part(backup_metadata, '"client_id":', 2), '"', 2), 130)
        ELSE '"'
    END),
    project_id, deleted, created_at NULLS FIRST, id
);

--@ unless index backups.ix_backups_metadata_job_id
CREATE INDEX ix_backups_metadata_job_id ON backups (
    (CASE
        WHEN OCTET_LENGTH(backup_metadata) > 16384 THEN '"'
        WHEN split_part(backup_metadata, '"job_id":', 3) = '' THEN left(split_part(split_part(backup_metadata, '"job_id":', 2), '"', 2), 130)
        ELSE '"'
    END),
    project_id, deleted, created_at NULLS FIRST, id
);
