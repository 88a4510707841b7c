"""The pages of access: rules and guardrails, requests, grants."""
