"""The server as a process: what it says over its real sockets, byte for byte."""
