"""The daemon's services: workers, schedules, events, reconciliation. Not here: HTTP in (`web`)."""
