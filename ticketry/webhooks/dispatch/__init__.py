"""The dispatcher: sends what is due, in order, and lets nobody hold up the others."""
