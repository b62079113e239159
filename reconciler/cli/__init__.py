"""The command line: parse, one call into `reconciler.app`, render, exit code."""
