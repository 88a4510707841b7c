"""The pages of firewall requests."""
