"""The SCIM 2.0 server (RFC 7643, RFC 7644): scim2-server speaks the protocol, this keeps what it is told."""
