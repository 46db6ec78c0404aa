-- Ours, 0010: what the metadata of backups are searched by

-- Each is the text of a member: NULL without the member, a quotation mark where it occurs several times, and of large texts. Of bytes, since to look for bytes takes a
-- quarter of the time. src/store/members.rs asks for them.
--@ unless column backups.metadata_job_id
ALTER TABLE backups
    ADD COLUMN metadata_backup_name VARBINARY(130) GENERATED ALWAYS AS (CASE
        WHEN LENGTH(backup_metadata) > 16384 THEN '"'
        WHEN LOCATE('"backup_name":', CAST(backup_metadata AS BINARY)) = 0 THEN NULL
        WHEN LOCATE('"backup_name":', CAST(backup_metadata AS BINARY), LOCATE('"backup_name":', CAST(backup_metadata AS BINARY)) + 14) > 0 THEN '"'
        ELSE SUBSTRING_INDEX(SUBSTRING_INDEX(SUBSTRING(CAST(backup_metadata AS BINARY), LOCATE('"backup_name":', CAST(backup_metadata AS BINARY)) + 14, 130), '"', 2), '"', -1)
    END) VIRTUAL,
    ADD COLUMN metadata_hostname VARBINARY(130) GENERATED ALWAYS AS (CASE
        WHEN LENGTH(backup_metadata) > 16384 THEN '"'
        WHEN LOCATE('"hostname":', CAST(backup_metadata AS BINARY)) = 0 THEN NULL
        WHEN LOCATE('"hostname":', CAST(backup_metadata AS BINARY), LOCATE('"hostname":', CAST(backup_metadata AS BINARY)) + 11) > 0 THEN '"'
        ELSE SUBSTRING_INDEX(SUBSTRING_INDEX(SUBSTRING(CAST(backup_metadata AS BINARY), LOCATE('"hostname":', CAST(backup_metadata AS BINARY)) + 11, 130), '"', 2), '"', -1)
    END) VIRTUAL,
    ADD COLUMN metadata_container VARBINARY(130) GENERATED ALWAYS AS (CASE
        WHEN LENGTH(backup_metadata) > 16384 THEN '"'
        WHEN LOCATE('"container":', CAST(backup_metadata AS BINARY)) = 0 THEN NULL
        WHEN LOCATE('"container":', CAST(backup_metadata AS BINARY), LOCATE('"container":', CAST(backup_metadata AS BINARY)) + 12) > 0 THEN '"'
        ELSE SUBSTRING_INDEX(SUBSTRING_INDEX(SUBSTRING(CAST(backup_metadata AS BINARY), LOCATE('"container":', CAST(backup_metadata AS BINARY)) + 12, 130), '"', 2), '"', -1)
    END) VIRTUAL,
    ADD COLUMN metadata_client_id VARBINARY(130) GENERATED ALWAYS AS (CASE
        WHEN LENGTH(backup_metadata) > 16384 THEN '"'
        WHEN LOCATE('"client_id":', CAST(backup_metadata AS BINARY)) = 0 THEN NULL
        WHEN LOCATE('"client_id":', CAST(backup_metadata AS BINARY), LOCATE('"client_id":', CAST(backup_metadata AS BINARY)) + 12) > 0 THEN '"'
        ELSE SUBSTRING_INDEX(SUBSTRING_INDEX(SUBSTRING(CAST(backup_metadata AS BINARY), LOCATE('"client_id":', CAST(backup_metadata AS BINARY)) + 12, 130), '"', 2), '"', -1)
    END) VIRTUAL,
    ADD COLUMN metadata_job_id VARBINARY(130) GENERATED ALWAYS AS (CASE
        WHEN LENGTH(backup_metadata) > 16384 THEN '"'
        WHEN LOCATE('"job_id":', CAST(backup_metadata AS BINARY)) = 0 THEN NULL
        WHEN LOCATE('"job_id":', CAST(backup_metadata AS BINARY), LOCATE('"job_id":', CAST(backup_metadata AS BINARY)) + 9) > 0 THEN '"'
        ELSE SUBSTRING_INDEX(SUBSTRING_INDEX(SUBSTRING(CAST(backup_metadata AS BINARY), LOCATE('"job_id":', CAST(backup_metadata AS BINARY)) + 9, 130), '"', 2), '"', -1)
    END) VIRTUAL;

--@ unless index backups.ix_backups_metadata_job_id
ALTER TABLE backups
    ADD INDEX ix_backups_metadata_backup_name (metadata_backup_name, project_id, deleted, created_at, id),
    ADD INDEX ix_backups_metadata_hostname (metadata_hostname, project_id, deleted, created_at, id),
    ADD INDEX ix_backups_metadata_container (metadata_container, project_id, deleted, created_at, id),
    ADD INDEX ix_backups_metadata_client_id (metadata_client_id, project_id, deleted, created_at, id),
    ADD INDEX ix_backups_metadata_job_id (metadata_job_id, project_id, deleted, created_at, id);
