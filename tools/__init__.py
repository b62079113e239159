"""Scripts for those who work on reconciler itself; not part of the installed package."""
