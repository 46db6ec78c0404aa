-- Takes back what 0007 added

--@ when table freezer_api_run_days
DROP TABLE freezer_api_run_days;
