"""Keeps a model's code away from the server's own modules while the model is loaded.

A pickle from a notebook refers to `__main__`, and a tenant's package may be called `runtime`, as the server's is. Both
names would find the server's code: a pickled `main` would become this program's. Used by `load`.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

OWN_PACKAGE = "runtime"


@contextmanager
def own_names_hidden() -> Generator[None]:
    """Inside, `__main__` is empty, and importing `runtime` or a module of it raises ModuleNotFoundError."""
    hidden = {name: module for name, module in sys.modules.copy().items() if name == "__main__" or is_own(name)}
    guard = _Guard()
    for name in hidden:
        del sys.modules[name]
    sys.modules["__main__"] = ModuleType("__main__")
    sys.meta_path.insert(0, guard)
    try:
        yield
    finally:
        sys.meta_path.remove(guard)
        sys.modules.update(hidden)


def is_own(module: str) -> bool:
    """Whether a module's full name belongs to the server's package."""
    return module.partition(".")[0] == OWN_PACKAGE


def taken_name(folder: Path) -> str:
    """The file or folder beside a predictor that can't be imported because of its name; empty where there is none."""
    if (folder / f"{OWN_PACKAGE}.py").is_file():
        return f"{OWN_PACKAGE}.py"
    return f"{OWN_PACKAGE}/" if any((folder / OWN_PACKAGE).rglob("*.py")) else ""


class _Guard(MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if is_own(name):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None
