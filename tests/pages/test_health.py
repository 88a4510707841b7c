"""What a load balancer asks: alive and ready, by address and in plain HTTP, whatever names the console answers to."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _as_in_production(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["sallyport.example.com"]
    settings.SECURE_SSL_REDIRECT = True


@pytest.mark.parametrize("path", ["/healthz/live", "/healthz/ready"])
def test_it_is_answered_by_address_and_without_tls(client: Client, path: str) -> None:
    answer = client.get(path, headers={"host": "10.20.0.7:8000"})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert client.post(path, headers={"host": "10.20.0.7:8000"}).status_code == 405


def test_nothing_else_is(client: Client) -> None:
    assert client.get("/sign-in/", headers={"host": "10.20.0.7:8000"}).status_code == 400
    assert client.get("/sign-in/", headers={"host": "sallyport.example.com"}).status_code == 301
