# SPDX-License-Identifier: MIT
"""The module that a public thing names as its own."""

from __future__ import annotations


def publish(module: str, *things: object) -> None:
    """Makes `module` the home of classes and functions, wherever they are written.

    That is what help(), errors and pickles then say, so that files can move.
    """
    for thing in things:
        thing.__module__ = module
