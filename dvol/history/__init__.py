"""Commits, branches, revisions, groups and the reflog, as read from their files; which commits a
policy keeps; no trees.
"""
