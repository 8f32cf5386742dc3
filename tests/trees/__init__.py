"""Trees of every kind of entry, attribute, flag and link, and verbs on them at random, against a
model: what each tree must be, entry for entry.

`tests/model` asks which commits must still exist, and its trees are small and flat; here the trees
are odd, and histories are as they come. The model knows a tree only by looking at it, with the code
of `tests.contract.trees`, which shares nothing with dvol's own `tree/`. `python -m tests.trees` is
the same walk in a process of its own, for another user.
"""
