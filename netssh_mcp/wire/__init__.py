"""All that blocks: the only room that knows Netmiko and Paramiko."""
