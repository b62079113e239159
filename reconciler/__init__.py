"""GitOps for business automations: YAML specs, PostgreSQL and n8n, brought to agree."""

__version__ = "0.1.0"
