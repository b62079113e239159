"""The files that `reconciler init` writes; data only."""
