"""``placet-server`` from the terminal: what it is told, where that is carried out, what it prints."""
