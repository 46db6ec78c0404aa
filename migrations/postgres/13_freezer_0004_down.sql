-- Takes back what 0004 added

--@ when table freezer_api_client_activity
DROP TABLE freezer_api_client_activity;

--@ when table freezer_api_leases
DROP TABLE freezer_api_leases;
