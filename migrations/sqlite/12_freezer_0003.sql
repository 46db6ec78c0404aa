-- Ours, 0003: what the list of all projects' jobs, and that of a project's clients, are read by

--@ unless index jobs.ix_jobs_live
CREATE INDEX ix_jobs_live ON jobs (deleted, created_at, id);

--@ unless index clients.ix_clients_central
CREATE INDEX ix_clients_central ON clients (is_central, deleted);
