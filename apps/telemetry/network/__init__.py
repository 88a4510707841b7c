"""The picture of who calls whom: read, composed, laid out, drawn."""
