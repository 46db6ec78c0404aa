-- Ours, 0010: what the metadata of backups are searched by

-- Each begins with the text of a member: NULL without the member, a quotation mark where it occurs several times, and of large texts. src/store/members.rs asks
-- with the same words.
--@ unless index backups.ix_backups_metadata_backup_name
CREATE INDEX ix_backups_metadata_backup_name ON backups (
    (CASE
        WHEN length(backup_metadata) > 16384 THEN '"'
        WHEN instr(backup_metadata, '"backup_name":') = 0 THEN NULL
        WHEN instr(substr(backup_metadata, instr(backup_metadata, '"backup_name":') + 14), '"backup_name":') > 0 THEN '"'
        ELSE substr(ltrim(substr(backup_metadata, instr(backup_metadata, '"backup_name":') + 14, 130), ' "'), 1,
            instr(ltrim(substr(backup_metadata, instr(backup_metadata, '"backup_name":') + 14, 130), ' "'), '"') - 1)
    END),
    project_id, deleted, created_at, id
);

--@ unless index backups.ix_backups_metadata_hostname
CREATE INDEX ix_backups_metadata_hostname ON backups (
    (CASE
        WHEN length(backup_metadata) > 16384 THEN '"'
        WHEN instr(backup_metadata, '"hostname":') = 0 THEN NULL
        WHEN instr(substr(backup_metadata, instr(backup_metadata, '"hostname":') + 11), '"hostname":') > 0 THEN '"'
        ELSE substr(ltrim(substr(backup_metadata, instr(backup_metadata, '"hostname":') + 11, 130), ' "'), 1,
            instr(ltrim(substr(backup_metadata, instr(backup_metadata, '"hostname":') + 11, 130), ' "'), '"') - 1)
    END),
    project_id, deleted, created_at, id
);

--@ unless index backups.ix_backups_metadata_container
CREATE INDEX ix_backups_metadata_container ON backups (
    (CASE
        WHEN length(backup_metadata) > 16384 THEN '"'
        WHEN instr(backup_metadata, '"container":') = 0 THEN NULL
        WHEN instr(substr(backup_metadata, instr(backup_metadata, '"container":') + 12), '"container":') > 0 THEN '"'
        ELSE substr(ltrim(substr(backup_metadata, instr(backup_metadata, '"container":') + 12, 130), ' "'), 1,
            instr(ltrim(substr(backup_metadata, instr(backup_metadata, '"container":') + 12, 130), ' "'), '"') - 1)
    END),
    project_id, deleted, created_at, id
);

--@ unless index backups.ix_backups_metadata_client_id
CREATE INDEX ix_backups_metadata_client_id ON backups (
    (CASE
        WHEN length(backup_metadata) > 16384 THEN '"'
        WHEN instr(backup_metadata, '"client_id":') = 0 THEN NULL
        WHEN instr(substr(backup_metadata, instr(backup_metadata, '"client_id":') + 12), '"client_id":') > 0 THEN '"'
        ELSE substr(ltrim(substr(backup_metadata, instr(backup_metadata, '"client_id":') + 12, 130), ' "'), 1,
            instr(ltrim(substr(backup_metadata, instr(backup_metadata, '"client_id":') + 12, 130), ' "'), '"') - 1)
    END),
    project_id, deleted, created_at, id
);

--@ unless index backups.ix_backups_metadata_job_id
CREATE INDEX ix_backups_metadata_job_id ON backups (
    (CASE
        WHEN length(backup_metadata) > 16384 THEN '"'
        WHEN instr(backup_metadata, '"job_id":') = 0 THEN NULL
        WHEN instr(substr(backup_metadata, instr(backup_metadata, '"job_id":') + 9), '"job_id":') > 0 THEN '"'
        ELSE substr(ltrim(substr(backup_metadata, instr(backup_metadata, '"job_id":') + 9, 130), ' "'), 1,
            instr(ltrim(substr(backup_metadata, instr(backup_metadata, '"job_id":') + 9, 130), ' "'), '"') - 1)
    END),
    project_id, deleted, created_at, id
);
