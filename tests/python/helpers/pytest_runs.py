# SPDX-License-Identifier: MIT
"""A plugin for pytest, named by tests of the plugin: runs of pytest within a test."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture
def run(pytester: pytest.Pytester):
    """Runs tests, given as text, in a pytest of their own; the last line counts them."""

    def run_tests(source: str, *arguments: str, **outcomes: int) -> str:
        pytester.makepyfile(source)
        result = pytester.runpytest_inprocess("-p", "no:hypothesispytest", *arguments)
        result.assert_outcomes(**outcomes)
        return result.stdout.str()

    return run_tests
