"""Observe, apply, adopt: the only code that changes n8n and the seed's tables."""
