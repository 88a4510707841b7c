"""The writes of this app, one function per use case."""
