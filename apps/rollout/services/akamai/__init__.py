"""The writes that only an edge target at Akamai has: properties, tokens, lists, certificates, streams, budgets."""
