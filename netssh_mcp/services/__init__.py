"""The work itself, usable without MCP."""
