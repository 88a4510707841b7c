"""A second less at every start, of a web process as of a command.

pydantic, under the SCIM models, looks for the source of a class in every frame of the stack, and ``inspect`` goes
through all modules there are for each frame whose file is no module's. Nearly all such frames are of the import
machinery, which is frozen into the interpreter; so ``inspect`` is told once whose they are.
"""

from __future__ import annotations

import inspect
from pathlib import Path

MACHINERY = ("importlib._bootstrap", "importlib._bootstrap_external")


def know_the_import_machinery() -> None:
    """It is asked for by the file's name as it stands, and as a path."""
    for module in MACHINERY:
        name = f"<frozen {module}>"
        for known_as in (name, str(Path.cwd() / name)):
            inspect.modulesbyfile.setdefault(known_as, module)


know_the_import_machinery()
