"""What is known before anyone asks: settings, profiles, inventory, secrets, parsers."""
