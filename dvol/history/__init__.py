"""Commits, branches, revisions, groups and the reflog, as read from their files; no trees."""
