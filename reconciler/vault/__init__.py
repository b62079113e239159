"""Secrets: the credential envelope, its keys, and where secret values come from.

The only package that imports `cryptography`. Not here: which credentials exist
(`reconciler.kinds`) and where wrapped keys are stored (`reconciler.store`).
"""
