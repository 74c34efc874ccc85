"""Terminal output of the commands: tables, lines and a progress bar. Nothing is computed here."""
