#!/bin/sh
# Makes the secrets of compose.yaml that are not there yet: random values, readable by the
# containers' users. Run it once, before the first `compose up`; keep a copy in a safe place.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets
chmod 700 secrets

random() {
    test -s "secrets/$1" || openssl rand -hex 32 | tr -d '\n' > "secrets/$1"
}

for name in postgres_password n8n_database_password n8n_encryption_key \
    reconciler_database_password encryption_key; do
    random "$name"
done
test -s secrets/database_url || printf 'postgresql://reconciler:%s@postgres:5432/reconciler' \
    "$(cat secrets/reconciler_database_password)" > secrets/database_url
test -e secrets/n8n_api_key || : > secrets/n8n_api_key
chmod 644 secrets/*
if ! test -s secrets/n8n_api_key; then
    echo "next: start n8n, make an API key there and write it into $(pwd)/secrets/n8n_api_key" >&2
fi
