"""Where specs come from: files. Nothing here knows what a spec means."""
