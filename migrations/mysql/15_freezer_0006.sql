-- Ours, 0006: how hosts fare and what is wrong, as one node among all has found it last

-- All of it is made of other tables. Times are seconds since 1970.
--@ unless table freezer_api_hosts
CREATE TABLE freezer_api_hosts (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(36),
    client_id VARCHAR(255) NOT NULL,
    hostname VARCHAR(255),
    is_central BOOLEAN NOT NULL,
    is_registered BOOLEAN NOT NULL,
    state VARCHAR(16) NOT NULL,
    findings VARCHAR(255) NOT NULL,
    jobs BIGINT NOT NULL,
    active_jobs BIGINT NOT NULL,
    is_protected BOOLEAN NOT NULL,
    last_success_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    running BIGINT NOT NULL,
    running_since BIGINT,
    failed_in_a_row BIGINT NOT NULL,
    clock_skew BIGINT,
    job_findings VARCHAR(255) NOT NULL,
    is_red BOOLEAN NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

--@ unless index freezer_api_hosts.ix_freezer_api_hosts_project
CREATE INDEX ix_freezer_api_hosts_project ON freezer_api_hosts (project_id, client_id, id);

--@ unless index freezer_api_hosts.ix_freezer_api_hosts_success
CREATE INDEX ix_freezer_api_hosts_success ON freezer_api_hosts (project_id, last_success_at, id);

--@ unless index freezer_api_hosts.ix_freezer_api_hosts_due
CREATE INDEX ix_freezer_api_hosts_due ON freezer_api_hosts (project_id, due_at, id);

--@ unless index freezer_api_hosts.ix_freezer_api_hosts_client
CREATE INDEX ix_freezer_api_hosts_client ON freezer_api_hosts (client_id, id);

--@ unless index freezer_api_hosts.ix_freezer_api_hosts_all_success
CREATE INDEX ix_freezer_api_hosts_all_success ON freezer_api_hosts (last_success_at, id);

--@ unless index freezer_api_hosts.ix_freezer_api_hosts_all_due
CREATE INDEX ix_freezer_api_hosts_all_due ON freezer_api_hosts (due_at, id);

-- urgency stands for the kind: the smaller is the worse.
--@ unless table freezer_api_problems
CREATE TABLE freezer_api_problems (
    id VARCHAR(36) NOT NULL,
    urgency BIGINT NOT NULL,
    since BIGINT NOT NULL,
    project_id VARCHAR(36),
    client_id VARCHAR(255) NOT NULL,
    job_id VARCHAR(36),
    description VARCHAR(255),
    last_success_at BIGINT,
    due_at BIGINT,
    failed_in_a_row BIGINT NOT NULL,
    clock_skew BIGINT,
    PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

--@ unless index freezer_api_problems.ix_freezer_api_problems_project
CREATE INDEX ix_freezer_api_problems_project ON freezer_api_problems (project_id, urgency, since, id);

--@ unless index freezer_api_problems.ix_freezer_api_problems_urgency
CREATE INDEX ix_freezer_api_problems_urgency ON freezer_api_problems (urgency, since, id);

--@ unless index freezer_api_problems.ix_freezer_api_problems_client
CREATE INDEX ix_freezer_api_problems_client ON freezer_api_problems (client_id, urgency, since, id);

--@ unless index freezer_api_problems.ix_freezer_api_problems_job
CREATE INDEX ix_freezer_api_problems_job ON freezer_api_problems (job_id);

-- The rounds read the jobs of one client after the other.
--@ unless index jobs.ix_jobs_by_client
CREATE INDEX ix_jobs_by_client ON jobs (client_id, id);
