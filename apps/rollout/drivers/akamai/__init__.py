"""Akamai spoken to: which calls there are, in what order they are made, and what their errors mean."""
