"""A pool's and a volume's directory: which volumes exist, their documents, who may read or change
them now; not the meaning of a verb, and Docker is asked nothing.
"""
