# SPDX-License-Identifier: MIT
"""What lies on one worker: a Dask actor with the parts that the worker holds.

A part has one or two holders. These are the rules by which two stay the same:

1. One holder leads the part; calls go to it alone. The other one follows.
2. A holder is gone when the scheduler knows of no worker that has its shard. Dask never
   brings a lost actor back: once gone is gone for good, wherever it still runs.
3. The record: the scheduler keeps, under the key of the leader's shard, who follows it
   and has all that was acknowledged. Only that leader writes it.
4. A leader makes changes one at a time: first on the follower, then its own. It goes
   alone if the follower cannot be reached or had another outcome: it writes that into
   the record, and only then, and if it is not gone itself by then, acknowledges. If it
   is gone, it writes its follower in again, and leads no more. The leader's outcome is
   that of the call.
5. A follower takes the lead if the leader is gone and it is not itself, and then the
   leader's record names it. From then on it refuses what the old leader sends.
6. A change carries a number, by which a holder knows one that it has made. Whoever got
   no answer sends it again and it still counts once.
7. Whoever looks for the leader begins with any one that was, and goes on to whom its
   record names for as long as the one found is gone. No name: the part is lost.

So nothing that was acknowledged is forgotten. If a follower takes the lead, then by 2
and 5 its leader was gone before it read the record; a leader that goes alone is not gone
after it wrote it. One of the two comes first: either the follower reads that it was left
behind, or the leader does not acknowledge. And by 5 at most one holder that is not gone
leads.

A leader that is gone but does not know it can answer reads with what it last had, until
Dask ends the worker at its next heartbeat. A read can show a change that is still under
way.

A part has one lock at each holder, taken for changes alone. Who waits for a lock of
another worker holds that of the same part, and each is waited for by its leader only:
that cannot go round in a circle.
"""

from __future__ import annotations

import asyncio
from copy import deepcopy
from typing import Any

from distributed import get_worker

from ._messages import PAUSE, ElsewhereError, Holder, UnreachableError, WorkerLine
from ._part import CHANGES, Made, Number, Part, Sizes

_TRIES = 3  # before a leader goes alone without its follower


class Held(Part):
    """A part and its place among the holders."""

    def __init__(self, sizes: Sizes, made: dict[str, Made]) -> None:
        super().__init__(sizes, made)
        self.lock = asyncio.Lock()
        self.leads = False
        self.leader: Holder | None = None  # if it follows
        self.follower: Holder | None = None  # if it leads: whom it hands changes to
        self.recorded: Holder | None = None  # whom its record names, or may name


class Shard:
    """The actor. Its methods are coroutines on the worker's event loop."""

    def __init__(self, key: str) -> None:
        worker = get_worker()
        self.parts: dict[int, Held] = {}
        self._me: Holder = worker.address, key
        self._line = WorkerLine(worker)

    async def lead(self, part: int, sizes: Sizes, name: str) -> None:
        """Makes a part with one pool of zeros, to lead it."""
        held = Held(Sizes(*sizes), {})
        CHANGES["create"](held, name)
        held.leads = True
        self.parts[part] = held

    async def follow(
        self, part: int, sizes: Sizes, leader: Holder, made: dict[str, Made]
    ) -> None:
        """Makes a part without pools, which its leader fills."""
        self.parts[part] = held = Held(Sizes(*sizes), made)
        held.leader = leader

    async def query(self, part: int, question: str, *args: Any) -> Any:
        """Answers a question about a part that is led here."""
        return await (await self._led(part)).ask(question, *args)

    async def holders(self, part: int) -> int:
        """How many are there that have all of a part that is led here."""
        follower = (await self._led(part)).follower
        return 1 if follower is None or not await self._line.alive(follower) else 2

    async def change(
        self, part: int, number: Number, change: str, *args: Any
    ) -> Exception | None:
        """Makes a change on both holders; returns what it raised."""
        held = await self._led(part)
        async with held.lock:
            theirs = None
            if held.follower is not None:
                try:
                    theirs = await self._forward(held, part, number, change, args)
                except UnreachableError:
                    held.follower = None
            ours = await held.make(number, change, *args)
            if type(theirs) is not type(ours):
                held.follower = None
            if held.follower != held.recorded:
                await self._go_alone(part, held)
            return ours

    async def _forward(
        self, held: Held, part: int, number: Number, change: str, args: Any
    ) -> Any:
        """What the change raised at the follower."""
        follower = held.follower
        assert follower is not None
        for _ in range(_TRIES):
            try:
                return await self._line.ask(follower, "take", part, number, change, *args)
            except ElsewhereError:
                held.leads = False
                raise
            except UnreachableError:
                if not await self._line.alive(follower):
                    break
                await asyncio.sleep(PAUSE)
        raise UnreachableError(follower[0])

    async def _go_alone(self, part: int, held: Held) -> None:
        if await self._line.alive(self._me):
            await self._line.record(self._me, part, None)
            if await self._line.alive(self._me):
                held.recorded = None
                return
            # Given up in between: nothing was acknowledged that the follower has not.
            await self._line.record(self._me, part, held.recorded)
        held.leads = False
        raise ElsewhereError

    async def take(
        self, part: int, number: Number, change: str, *args: Any
    ) -> Exception | None:
        """Makes a change that the leader is about to make; returns what it raised."""
        held = self.parts[part]
        async with held.lock:
            if held.leads:
                raise ElsewhereError
            return await held.make(number, change, *args)

    async def _led(self, part: int) -> Held:
        """The part, if it is led here or is to be from now on."""
        held = self.parts[part]
        if not held.leads:
            leader = held.leader
            if leader is None or await self._line.alive(leader):
                raise ElsewhereError
            if not await self._line.alive(self._me):
                raise ElsewhereError
            if await self._line.follower(leader, part) != self._me:
                raise ElsewhereError
            held.leads = True
        return held

    async def mirror(self, part: int, other: Holder) -> bool | None:
        """Copies a part that has no follower to another shard, which follows then.

        Whether that can be done, or None if there is no need. Changes wait meanwhile.
        """
        held = await self._led(part)
        async with held.lock:
            if held.follower is not None and await self._line.alive(held.follower):
                return None
            if tuple(other) == self._me:
                return False
            try:
                made = deepcopy(held.made)  # the other one may be in this process
                await self._line.ask(other, "follow", part, held.sizes, self._me, made)
                steps = held.copy()
                while (step := await asyncio.to_thread(next, steps, None)) is not None:
                    await self._line.ask(other, "load", part, *step)
            except UnreachableError:
                return False
            held.recorded = other
            await self._line.record(self._me, part, other)
            held.follower = other
            return True

    async def load(self, part: int, change: str, *args: Any) -> None:
        """Makes a step of a copy."""
        await asyncio.to_thread(CHANGES[change], self.parts[part], *args)
