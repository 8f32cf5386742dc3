#!/bin/sh
# An application with its data in a file: it is its own writer.
exec python3 /usr/local/bin/writer.py sqlite 0
