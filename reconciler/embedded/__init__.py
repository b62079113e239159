"""What `reconciler up` starts on a machine that has nothing: PostgreSQL and n8n.

Not here: migrations, applying specs, and talking to n8n's public API.
"""
