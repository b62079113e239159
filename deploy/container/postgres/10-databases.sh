#!/bin/sh
# Runs once, when PostgreSQL's data folder is empty: a role and a database for n8n and for us.
set -eu

make() {
    psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
        --set name="$1" --set password="$(cat "/run/secrets/$2")" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
SQL
}

make n8n n8n_database_password
make reconciler reconciler_database_password
