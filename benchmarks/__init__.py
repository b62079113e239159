"""Benchmarks: ratios to bare floors of the same run, see `python -m benchmarks --help`."""
