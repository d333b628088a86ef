"""One call to somebody else's server: where it may go, how it is signed, what came of it."""
