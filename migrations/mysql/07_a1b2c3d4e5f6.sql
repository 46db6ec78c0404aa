-- a1b2c3d4e5f6: the actions of a job, once JSON in the job's row, become rows

--@ unless table job_actions
CREATE TABLE job_actions (
    id VARCHAR(36) NOT NULL,
    job_id VARCHAR(36) NOT NULL,
    action_id VARCHAR(36) NOT NULL,
    position INTEGER,
    deleted_at DATETIME,
    deleted BOOL,
    created_at DATETIME,
    updated_at DATETIME,
    PRIMARY KEY (id),
    FOREIGN KEY (job_id) REFERENCES jobs (id),
    FOREIGN KEY (action_id) REFERENCES actions (id)
) ENGINE=InnoDB {charset of jobs} ROW_FORMAT=DYNAMIC;

--@ unless index job_actions.ix_job_actions_job_id
CREATE INDEX ix_job_actions_job_id ON job_actions (job_id);

--@ unless index job_actions.ix_job_actions_action_id
CREATE INDEX ix_job_actions_action_id ON job_actions (action_id);

--@ when column jobs.job_actions
--@ call normalize_job_actions

--@ when column jobs.job_actions
ALTER TABLE jobs DROP COLUMN job_actions;
