# SPDX-License-Identifier: MIT
"""Packages that pymempool works without."""

from __future__ import annotations

import importlib
from typing import Any


def import_extra(module: str, extra: str, user: str) -> Any:
    """Imports a module of an optional package.

    extra: the extra of pymempool that installs it.
    user: what needs it, for the ImportError.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{user} needs {package}: pip install 'pymempool[{extra}]'", name=package
        ) from error
