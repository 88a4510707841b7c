"""What groups of a directory mean here: pure rules, a dry run, the change itself, and the breaker that pauses it."""
