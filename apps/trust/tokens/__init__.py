"""The token endpoint, in parts: what was asked (form), who asks (askers), what is said of it (metadata)."""
