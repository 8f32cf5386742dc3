"""The command line: words in, text out, exit codes; no rule about volumes, and nothing here opens a
file of a pool.
"""
