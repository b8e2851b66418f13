"""May it be sent, may it be shown, what was done."""
