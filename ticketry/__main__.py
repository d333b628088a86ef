"""`python -m ticketry`: the same as the command `ticketry`."""

from ticketry.cli import main

if __name__ == "__main__":
    main()
