-- Ours, 0009: how many runs each hour of the last ones had, and an index for the backups of a job

-- hour: in hours since 1970, by when the runs began. The project * is all together. Counted again from the runs at any time.
--@ unless table freezer_api_run_hours
CREATE TABLE freezer_api_run_hours (
    project_id VARCHAR(36) NOT NULL,
    hour BIGINT NOT NULL,
    state VARCHAR(16) NOT NULL,
    runs BIGINT NOT NULL,
    seconds BIGINT NOT NULL,
    longest BIGINT NOT NULL,
    PRIMARY KEY (project_id, hour, state)
);

--@ unless index freezer_api_run_hours.ix_freezer_api_run_hours_hour
CREATE INDEX ix_freezer_api_run_hours_hour ON freezer_api_run_hours (hour);

-- Which backup came next decides how one is restored.
--@ unless index backups.ix_backups_job
CREATE INDEX ix_backups_job ON backups (job_id, project_id, deleted, created_at, id);
