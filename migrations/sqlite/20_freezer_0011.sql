-- Ours, 0011: an index for the runs of a project in one state

-- Without it, an engine reads all runs of the project, or all in that state, until it has found a page.
--@ unless index freezer_api_runs.ix_freezer_api_runs_project_state
CREATE INDEX ix_freezer_api_runs_project_state ON freezer_api_runs (project_id, state, started_at, id);
