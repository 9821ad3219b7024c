# SPDX-License-Identifier: MIT
"""Work in threads, whose errors are those of the test."""

from __future__ import annotations

import threading
from typing import Any, Callable


def run_all(*jobs: Callable[[], Any]) -> None:
    """Runs jobs in threads that start together; raises what the first of them raised."""
    errors: list[BaseException] = []
    together = threading.Barrier(len(jobs), timeout=60)

    def guarded(job: Callable[[], Any]) -> None:
        try:
            together.wait()
            job()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
