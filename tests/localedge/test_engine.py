"""The pipes to the engine: nobody waits for an answer that cannot come."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.localedge.engine import Engine, EngineDied

CLOSES_ITS_MOUTH_FIRST = "#!/bin/sh\nexec >&-\nexec /bin/sleep 60\n"


def test_a_command_to_an_engine_that_still_listens_but_can_no_longer_answer_fails_at_once(tmp_path: Path) -> None:
    """A dying process closes its pipes one after the other; which one first is the kernel's choice."""
    node = tmp_path / "node"
    node.write_text(CLOSES_ITS_MOUTH_FIRST)
    node.chmod(0o755)
    engine = Engine(node=str(node))
    try:
        for _ in range(3):
            with pytest.raises(EngineDied):
                engine.call("status")
    finally:
        engine.stop(patience=0.0)
