"""The vocabulary: addresses, payloads, and what a resource kind must know. Pure."""
