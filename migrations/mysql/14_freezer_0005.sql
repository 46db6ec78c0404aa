-- Ours, 0005: which backups belong together

-- Derived from the rows of backups, and made again from them at any time. Times are those of backups.created_at, in seconds since 1970.
--@ unless table freezer_api_series
CREATE TABLE freezer_api_series (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(36),
    job_id VARCHAR(36),
    hostname VARCHAR(255),
    backup_name VARCHAR(255),
    container VARCHAR(255),
    storage VARCHAR(255),
    resource_id VARCHAR(255),
    backups BIGINT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    last_backup_id VARCHAR(36),
    PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

--@ unless index freezer_api_series.ix_freezer_api_series_project
CREATE INDEX ix_freezer_api_series_project ON freezer_api_series (project_id, last_at, id);

--@ unless index freezer_api_series.ix_freezer_api_series_last
CREATE INDEX ix_freezer_api_series_last ON freezer_api_series (last_at, id);

--@ unless index freezer_api_series.ix_freezer_api_series_job
CREATE INDEX ix_freezer_api_series_job ON freezer_api_series (job_id, last_at, id);

--@ unless index freezer_api_series.ix_freezer_api_series_host
CREATE INDEX ix_freezer_api_series_host ON freezer_api_series (hostname, last_at, id);

--@ unless table freezer_api_backup_series
CREATE TABLE freezer_api_backup_series (
    backup_id VARCHAR(36) NOT NULL,
    series_id VARCHAR(36) NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (backup_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

--@ unless index freezer_api_backup_series.ix_freezer_api_backup_series_series
CREATE INDEX ix_freezer_api_backup_series_series ON freezer_api_backup_series (series_id, created_at, backup_id);

--@ unless index freezer_api_backup_series.ix_freezer_api_backup_series_created
CREATE INDEX ix_freezer_api_backup_series_created ON freezer_api_backup_series (created_at);

--@ unless index backups.ix_backups_created
CREATE INDEX ix_backups_created ON backups (created_at, id);
