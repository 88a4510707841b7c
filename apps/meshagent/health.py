"""What a kubelet asks of an application whose port leads to a door: it has no certificate, so it asks here.

Each question is one path, answered by one path of the application over the loopback; nothing else is passed on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FILE = "node_http_health.conf"
_QUESTION = re.compile(r"/[A-Za-z0-9-]+/[A-Za-z]+")
_ANSWER = re.compile(r"([0-9]{1,5})(/[A-Za-z0-9._~/-]*)")


@dataclass(frozen=True, slots=True)
class Health:
    """``checks`` from the path that is asked to the application's port and path, such as ``8080/healthz``."""

    port: int
    checks: Mapping[str, str]

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Health:
        checks = {str(question): str(answer) for question, answer in data["checks"].items()}
        odd = [one for one in checks.items() if not (_QUESTION.fullmatch(one[0]) and _ANSWER.fullmatch(one[1]))]
        if odd:
            raise ValueError(f"{odd[0][0]!r} cannot be answered by {odd[0][1]!r}.")
        return cls(int(data["port"]), checks)


def conf(health: Health) -> str:
    checks = "".join(
        f"    location = {question} {{\n"
        "        limit_except GET { deny all; }\n"
        "        proxy_set_header Host $http_host;\n"
        '        proxy_set_header Connection "";\n'
        f"        proxy_pass http://127.0.0.1:{answer};\n"
        "    }\n"
        for question, answer in sorted(health.checks.items())
    )
    return f"server {{\n    listen {health.port};\n{checks}    location / {{\n        return 404;\n    }}\n}}\n"
