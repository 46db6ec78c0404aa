-- Takes back what 0006 added

--@ when table freezer_api_hosts
DROP TABLE freezer_api_hosts;

--@ when table freezer_api_problems
DROP TABLE freezer_api_problems;

--@ when index jobs.ix_jobs_by_client
DROP INDEX ix_jobs_by_client;
