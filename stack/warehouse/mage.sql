-- Mage's own database, and the login of its pipelines in Tidegate's. Run once, after logins.sql, as a superuser.
\set ON_ERROR_STOP on
\set pipeline_password `cat /run/secrets/pipeline_password`
\set mage_password `cat /run/secrets/mage_password`

-- Pipelines load the feature store. What they remember is in a schema of their own, which people may read.
CREATE ROLE pipeline LOGIN PASSWORD :'pipeline_password' IN ROLE tidegate_controller;
CREATE SCHEMA pipeline AUTHORIZATION pipeline;
GRANT USAGE ON SCHEMA pipeline TO tidegate_analyst;
ALTER DEFAULT PRIVILEGES FOR ROLE pipeline IN SCHEMA pipeline GRANT SELECT ON TABLES TO tidegate_analyst;

-- Runs, triggers and users of Mage. Each of its processes keeps connections, so they are counted: others need some, too.
CREATE ROLE mage LOGIN PASSWORD :'mage_password' CONNECTION LIMIT 60;
CREATE DATABASE mage OWNER mage;
REVOKE ALL ON DATABASE mage FROM PUBLIC;
REVOKE CONNECT, TEMPORARY ON DATABASE tidegate FROM PUBLIC;
GRANT CONNECT ON DATABASE tidegate TO tidegate_owner, tidegate_controller, tidegate_serving, tidegate_analyst;
