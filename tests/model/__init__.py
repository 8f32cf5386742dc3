"""Verbs, crashes and wrong clocks at random, against a model of which commits must still exist.

The model knows nothing of how dvol decides: it has the promise alone, and a calculation of ages of
its own. Nothing here asks Docker, and nothing waits.
"""
