"""Names from RFC 6749, 7523 and 8693, and our own."""

from __future__ import annotations

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"
CLIENT_CREDENTIALS = "client_credentials"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a type, not a token
JWT = "urn:ietf:params:oauth:token-type:jwt"
SESSION = "urn:sallyport:token-type:session"
AWS_STS = "urn:sallyport:token-type:aws-sts"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SUBJECT_TOKEN_TYPES = (ACCESS_TOKEN, SESSION, JWT, AWS_STS)
