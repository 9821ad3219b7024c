# SPDX-License-Identifier: MIT
"""The C library as Python sees it: found, loaded, declared, and called with checks."""
