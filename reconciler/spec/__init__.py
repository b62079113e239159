"""Specs: YAML text to documents with marks, checked against the kinds' models. Pure."""
