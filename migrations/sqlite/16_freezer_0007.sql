-- Ours, 0007: how many runs each day had

-- day: in days since 1970, by when the runs began. The project * is all together.
--@ unless table freezer_api_run_days
CREATE TABLE freezer_api_run_days (
    project_id VARCHAR(36) NOT NULL,
    day BIGINT NOT NULL,
    state VARCHAR(16) NOT NULL,
    runs BIGINT NOT NULL,
    seconds BIGINT NOT NULL,
    longest BIGINT NOT NULL,
    PRIMARY KEY (project_id, day, state)
);

--@ unless index freezer_api_run_days.ix_freezer_api_run_days_day
CREATE INDEX ix_freezer_api_run_days_day ON freezer_api_run_days (day);
