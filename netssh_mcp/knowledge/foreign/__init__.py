"""Inventories that were written for other tools, read as if they were ours. One module per format."""
