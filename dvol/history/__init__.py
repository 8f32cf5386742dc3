"""Commits, branches, revisions and groups, as read from documents; no trees."""
