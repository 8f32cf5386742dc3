"""`make bench`: dvol beside what people use instead, on the same data, in one run.

A benchmark, not a test: it asserts no time. It ends with a document written from its own numbers,
docs/performance.md. A part of it is run by name: `python -m tests.bench ext4:database`.
"""
