-- Takes back what 0008 added

--@ when index freezer_api_problems.ix_freezer_api_problems_series
DROP INDEX ix_freezer_api_problems_series;

--@ when column freezer_api_problems.series_id
ALTER TABLE freezer_api_problems DROP COLUMN series_id;
