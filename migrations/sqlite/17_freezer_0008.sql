-- Ours, 0008: which series of backups a problem is of

--@ unless column freezer_api_problems.series_id
ALTER TABLE freezer_api_problems ADD COLUMN series_id VARCHAR(36);

--@ unless index freezer_api_problems.ix_freezer_api_problems_series
CREATE INDEX ix_freezer_api_problems_series ON freezer_api_problems (series_id);
