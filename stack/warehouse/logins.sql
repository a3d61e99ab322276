-- Who logs in, each with what its role may and a password from a file. Run once, after init.sql, as a superuser.
\set ON_ERROR_STOP on
\set delivery_password `cat /run/secrets/delivery_password`
\set replica_password `cat /run/secrets/replica_password`
\set analyst_password `cat /run/secrets/analyst_password`

-- The controller. pg_partman's worker makes and drops partitions, so it is no member of tidegate_owner.
CREATE ROLE delivery LOGIN PASSWORD :'delivery_password' IN ROLE tidegate_controller;
-- Replicas: they look features up and add to the prediction log, and read nothing of the registry.
CREATE ROLE replica LOGIN PASSWORD :'replica_password' IN ROLE tidegate_serving;
-- People and notebooks, who read.
CREATE ROLE analyst LOGIN PASSWORD :'analyst_password' IN ROLE tidegate_analyst;
-- pg_partman's background worker. Without a password nobody else can log in as it.
CREATE ROLE keeper LOGIN IN ROLE tidegate_owner;
