"""Operations on any directory tree by descriptor: walk, compare, copy metadata and content, delete,
measure; not which tree it is, and why.
"""
