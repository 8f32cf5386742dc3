"""dvol: version control for Docker volumes."""

__version__ = "1.0.0.dev0"
