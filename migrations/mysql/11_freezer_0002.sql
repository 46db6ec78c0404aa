-- Ours, 0002: what was seen of the runs of jobs

-- Times are seconds since 1970: started_at and ended_at by the host's clock, seen_… by that of this service. A row is written in
-- the transaction that changes its job.
--@ unless table freezer_api_runs
CREATE TABLE freezer_api_runs (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(36),
    job_id VARCHAR(36) NOT NULL,
    client_id VARCHAR(255) NOT NULL,
    session_id VARCHAR(36),
    session_tag INTEGER,
    actions VARCHAR(255),
    state VARCHAR(16) NOT NULL,
    attempts INTEGER NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    seen_started_at BIGINT,
    seen_ended_at BIGINT,
    PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

--@ unless index freezer_api_runs.ix_freezer_api_runs_job
CREATE UNIQUE INDEX ix_freezer_api_runs_job ON freezer_api_runs (job_id, started_at);

--@ unless index freezer_api_runs.ix_freezer_api_runs_open
CREATE INDEX ix_freezer_api_runs_open ON freezer_api_runs (job_id, state, started_at);

--@ unless index freezer_api_runs.ix_freezer_api_runs_project
CREATE INDEX ix_freezer_api_runs_project ON freezer_api_runs (project_id, started_at, id);

--@ unless index freezer_api_runs.ix_freezer_api_runs_client
CREATE INDEX ix_freezer_api_runs_client ON freezer_api_runs (client_id, started_at, id);

--@ unless index freezer_api_runs.ix_freezer_api_runs_state
CREATE INDEX ix_freezer_api_runs_state ON freezer_api_runs (state, started_at, id);

--@ unless index freezer_api_runs.ix_freezer_api_runs_started
CREATE INDEX ix_freezer_api_runs_started ON freezer_api_runs (started_at, id);
