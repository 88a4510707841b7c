"""Signing in at somebody else's directory: what it should say, asking it, and reading what it said."""
