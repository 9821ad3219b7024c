# SPDX-License-Identifier: MIT
"""The C library as Python sees it: the only folder that calls ctypes."""
