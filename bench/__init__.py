"""The benchmarks of Ticketry: see README.md beside this file."""
