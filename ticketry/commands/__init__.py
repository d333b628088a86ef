"""What each command does. `ticketry/cli.py` declares them and imports one of these only when it is asked for."""
