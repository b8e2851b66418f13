"""`python -m netssh_mcp` is the command `netssh-mcp`."""

from netssh_mcp.cli import main

if __name__ == "__main__":
    main()
