"""The laboratory: private engines, images, a registry and file systems for demo and tests.

Nothing here knows dvol. What cannot be had on this machine is said by raising `Unavailable`;
whether that skips a test or fails it is the caller's to decide.
"""


class Unavailable(Exception):
    """This machine cannot give what was asked for; the text says why."""
