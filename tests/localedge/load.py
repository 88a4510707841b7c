"""A steady crowd of callers that remembers every answer that was not the expected one."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Crowd:
    def __init__(self, port: int, callers: int) -> None:
        self.port = port
        self.answers: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call, daemon=True) for _ in range(callers)]

    @property
    def total(self) -> int:
        with self._lock:
            return self.answers.total()

    def _call(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        while not self._stop.is_set():
            answer = self._once(connection)
            with self._lock:
                self.answers[answer] += 1
        connection.close()

    def _once(self, connection: http.client.HTTPConnection) -> str:
        try:
            connection.request("GET", "/steady", headers={"Host": "api.shop.localhost"})
            answer = connection.getresponse()
            return f"{answer.status} {answer.read().decode()}"
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return f"{type(error).__name__}: {error}"

    @contextmanager
    def calling(self) -> Iterator[Crowd]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(30)
