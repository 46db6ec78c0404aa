-- Takes back what 0011 added

--@ when index freezer_api_runs.ix_freezer_api_runs_project_state
DROP INDEX ix_freezer_api_runs_project_state;
