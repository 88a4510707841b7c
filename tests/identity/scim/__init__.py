"""The SCIM server, by the suites that others wrote for such servers and by what directories really send."""
