"""Measured against Paramiko, Netmiko, Scrapli, the bare MCP SDK and netmiko-mcp, always within one run."""
