-- Takes back what 0003 added

--@ when index jobs.ix_jobs_live
DROP INDEX ix_jobs_live ON jobs;

--@ when index clients.ix_clients_central
DROP INDEX ix_clients_central ON clients;
