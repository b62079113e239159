"""Triggers as values: types and event names, schedules, filters. Pure."""
