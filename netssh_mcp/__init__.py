"""Safe, fast, exact hands for AI agents on routers, switches and Linux hosts, over the Model Context Protocol."""

__version__ = "0.1.0"
