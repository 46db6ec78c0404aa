-- Takes back what 0002 added

--@ when table freezer_api_runs
DROP TABLE freezer_api_runs;
