"""Rules, in milliseconds: no root, no Docker, no server."""
