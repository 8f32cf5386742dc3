"""The command: argv to exit code, stdout and stderr, as a process of its own."""
