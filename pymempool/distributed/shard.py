# SPDX-License-Identifier: MIT
"""What lies on one worker: a Dask actor with the parts that the worker holds.

A part has one or two holders. These are the rules by which two stay the same:

1. One holder leads the part; calls go to it alone. The other one follows.
2. A holder is gone when the scheduler knows of no worker that has its shard. Dask never
   brings a lost actor back: once gone is gone for good, wherever it still runs.
3. The record: the scheduler keeps, under the key of the leader's shard, who follows it
   and has all that was acknowledged. Only the shard of that key writes it, and writes it
   anew when it takes the lead.
4. A leader makes changes one at a time: first on the follower, then its own. It goes
   alone if the follower cannot be reached or had another outcome: it writes that into
   the record, and only then, and if it is not gone itself by then, goes on and
   acknowledges. If it is gone, it writes its follower in again, and leads no more. The
   leader's outcome is that of the call.
5. A follower takes the lead if the leader is gone and it is not itself, and then the
   leader's record names it. From then on it refuses what the old leader sends.
6. A change carries a number, by which a holder knows one that it has made. Whoever got
   no answer sends it again and it still counts once.
7. Whoever looks for the leader begins with any one that was, and goes on to whom its
   record names for as long as the one found is gone, or to whom it says itself. No name:
   the part is lost.
8. A leader answers a question only when it knows that nobody had taken the lead from it
   when it had the answer: after that moment its follower has said that it still follows,
   or the scheduler that the leader is not gone.
9. A leader hands the lead over by saying so, between two changes, to its follower, which
   has written it into its own record before. It follows from then on. The follower takes
   the lead when it is asked for something and the old leader confirms it.
10. A leader replaces its follower between two changes: it copies the part to the new
   one; then the old one renounces in favour of the new one, or refuses if it has taken
   the lead; then the record names the new one. Who has renounced never leads. A follower
   takes the lead (rule 5) also if the record names one that has renounced in its favour.
11. A holder begins to follow only if the scheduler says when it does so that the leader
   is not gone, and puts into the part what belongs to that copy and nothing else.

So nothing that was acknowledged is forgotten. If a follower takes the lead, then by 2
and 5 its leader was gone before it read the record; a leader that goes alone is not gone
after it wrote it. One of the two comes first: either the follower reads that it was left
behind, or the leader does not acknowledge. Two can never take the lead from the same one:
before 10 lets the new one do so, the old one has said that it has not and will not. What
a leader that is gone still does harms nobody: it can write only its own record, by 4 and
10 nobody follows it to another place, and by 11 it destroys no copy of its successor. So
at most one holder that is not gone leads.

And nobody reads what is out of date. Let a leader have an answer at one moment, and its
follower say later that it follows: then until that moment the follower had not taken the
lead, and all that was acknowledged had been made by this leader, before it answered. If
the scheduler says later that the leader is not gone, the follower had not taken the lead
either, by 5. Both hold however long a process was stopped, at whatever place, and however
late a message comes; no clock has a part in it. A leader whose record names nobody asks
nobody: nobody can take the lead from it.

A read can show a change that is still under way.

A part has one lock at each holder for changes, and one for taking the lead. Who waits
for a lock of another worker holds that of the same part, and each is waited for by its
leader only, or as one that does not lead: that cannot go round in a circle.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from copy import deepcopy
from typing import Any

from distributed import get_worker

from .messages import (
    PAUSE,
    ElsewhereError,
    Holder,
    MovedError,
    UnreachableError,
    WorkerLine,
)
from .part import CHANGES, Made, Number, Part, Sizes

_TRIES = 3  # before a leader goes alone without its follower


class Held(Part):
    """A part and its place among the holders."""

    def __init__(self, sizes: Sizes, made: dict[str, Made], copy: str = "") -> None:
        super().__init__(sizes, made)
        self.lock = asyncio.Lock()
        self.taking = asyncio.Lock()  # the lead
        self.leads = False
        self.leader: Holder | None = None  # if it does not lead, as far as is known
        self.before: Holder | None = None  # the follower whose place it has got
        self.copy_of = copy  # the name of the copy by which it was made
        self.heir: Holder | None = None  # to whom it has given up its place
        self.renounced = False  # it holds nothing any more
        self.follower: Holder | None = None  # if it leads: whom it hands changes to
        self.recorded: Holder | None = None  # whom its record names, or may name


class Shard:
    """The actor. Its methods are coroutines on the worker's event loop."""

    def __init__(self, key: str) -> None:
        worker = get_worker()
        self.parts: dict[int, Held] = {}
        self._me: Holder = worker.address, key
        self._line = WorkerLine(worker)
        self._joining: asyncio.Lock | None = None  # a lock is made where there is a loop

    async def lead(self, part: int, sizes: Sizes, name: str, total_size: int) -> None:
        """Makes a part with one pool of zeros, to lead it."""
        held = Held(Sizes(*sizes), {})
        CHANGES["create"](held, name, total_size)
        held.leads = True
        self.parts[part] = held

    # ------------------------------------------------------------------- the leader

    async def query(self, part: int, question: str, *args: Any) -> Any:
        """Answers a question about a part that is led here."""
        held = await self._led(part)
        try:
            return await held.ask(question, *args)
        finally:  # an error is an answer as well
            await self._confirm(part, held)

    async def placed(self, part: int) -> list[Holder]:
        """Who has all of a part that is led here, the leader first."""
        held = await self._led(part)
        follower = held.follower
        if not held.leads or not await self._line.alive(self._me):
            raise ElsewhereError
        if follower is None or not await self._line.alive(follower):
            return [self._me]
        return [self._me, follower]

    async def _confirm(self, part: int, held: Held) -> None:
        """Returns if nobody else had taken the lead when this was called: rule 8."""
        other = held.recorded
        if held.leads and other is None:
            return
        if held.leads and other is not None:
            asked = asyncio.ensure_future(
                self._line.ask(other, "follows", part, self._me)
            )
            try:  # but who asked need not wait for one that is silent
                await asyncio.wait({asked}, timeout=PAUSE)
                if asked.done() and not asked.exception():
                    return
            finally:
                asked.cancel()
        if not held.leads or not await self._line.alive(self._me):
            held.leads = False
            raise ElsewhereError

    async def change(
        self, part: int, number: Number, change: str, *args: Any
    ) -> Exception | None:
        """Makes a change on both holders; returns what it raised."""
        async with self._leading(part) as held:
            theirs = None
            if held.follower is not None:
                try:
                    theirs = await self._forward(held, part, number, change, args)
                except UnreachableError:
                    held.follower = None
            await self._settle(part, held)
            ours = await held.make(number, change, *args)
            if held.follower is not None and type(theirs) is not type(ours):
                held.follower = None
                await self._settle(part, held)
            return ours

    async def _forward(
        self, held: Held, part: int, number: Number, change: str, args: Any
    ) -> Any:
        """What the change raised at the follower."""
        follower = held.follower
        assert follower is not None
        for _ in range(_TRIES):
            try:
                return await self._line.ask(
                    follower, "take", part, self._me, number, change, *args
                )
            except ElsewhereError:
                held.leads = False
                raise
            except UnreachableError:
                if not await self._line.alive(follower):
                    break
                await asyncio.sleep(PAUSE)
        raise UnreachableError(follower[0])

    async def _settle(self, part: int, held: Held) -> None:
        """Goes alone, if there is a follower no more that the record may name."""
        if held.follower == held.recorded:
            return
        if await self._line.alive(self._me):
            await self._line.record(self._me, part, None)
            if await self._line.alive(self._me):
                held.recorded = None
                return
            # Given up in between: nothing was acknowledged that the follower has not.
            await self._line.record(self._me, part, held.recorded)
        held.leads = False
        raise ElsewhereError

    @asynccontextmanager
    async def _leading(self, part: int) -> AsyncIterator[Held]:
        """A part that is led here, and its lock."""
        held = self._held(part)
        async with held.lock:
            if await self._led(part) is not held:
                raise ElsewhereError
            yield held

    def _held(self, part: int) -> Held:
        try:
            return self.parts[part]
        except KeyError:
            raise ElsewhereError from None

    # ----------------------------------------------------------------- taking the lead

    async def _led(self, part: int) -> Held:
        """The part, if it is led here or is to be from now on."""
        held = self._held(part)
        if not held.leads:
            async with held.taking:
                if not held.leads:
                    await self._take_lead(part, held)
        return held

    async def _take_lead(self, part: int, held: Held) -> None:
        """Rules 5, 9 and 10."""
        leader = held.leader
        if leader is None:
            raise ElsewhereError
        if held.renounced:
            raise MovedError(await self._after(part, held, leader))
        if await self._line.alive(leader):
            if not await self._vouched(part, leader):
                raise MovedError(leader)
            held.follower = held.recorded = leader
        else:
            if not await self._line.alive(self._me):
                raise ElsewhereError
            named = await self._line.follower(leader, part)
            if named != self._me and (
                named is None
                or named != held.before
                or not await self._vouched(part, named)
            ):
                raise MovedError(leader)
            held.follower = held.recorded = None
            await self._line.record(self._me, part, None)
        held.leads, held.leader = True, None
        held.before = held.heir = None

    async def _after(self, part: int, held: Held, leader: Holder) -> Holder:
        """To whom those are to go who look for the leader at one that has renounced."""
        if held.heir is None or await self._line.alive(leader):
            return leader
        named = await self._line.follower(leader, part)
        return held.heir if named == self._me else leader

    async def _vouched(self, part: int, other: Holder) -> bool:
        try:
            return bool(await self._line.ask(other, "vouch", part, self._me))
        except (UnreachableError, ElsewhereError):
            return False

    async def vouch(self, part: int, heir: Holder) -> bool:
        """Whether this one has given up its place to another one."""
        return self._held(part).heir == tuple(heir)

    async def hand_over(self, part: int) -> bool:
        """Has the follower lead, and follows it. Whether there is one."""
        async with self._leading(part) as held:
            heir = held.follower
            await self._settle(part, held)
            if heir is None or not await self._line.alive(heir):
                return False
            try:
                await self._line.ask(heir, "prepare", part, self._me)
            except UnreachableError:
                return False
            held.leads, held.leader, held.heir = False, heir, heir
            held.follower = held.recorded = None
            return True

    # ----------------------------------------------------------------- the follower

    async def take(
        self, part: int, leader: Holder, number: Number, change: str, *args: Any
    ) -> Exception | None:
        """Makes a change that the leader is about to make; returns what it raised."""
        held = self._held(part)
        async with held.lock:
            self._check_follows(held, leader)
            return await held.make(number, change, *args)

    async def follows(self, part: int, leader: Holder) -> None:
        """Returns if this one follows that one."""
        self._check_follows(self._held(part), leader)

    @staticmethod
    def _check_follows(held: Held, leader: Holder) -> None:
        if held.leads or held.renounced or held.leader != tuple(leader):
            raise ElsewhereError

    async def prepare(self, part: int, leader: Holder) -> None:
        """Makes ready to lead, with the present leader as the follower."""
        held = self._held(part)
        async with held.taking:
            self._check_follows(held, leader)
            held.heir = None
            await self._line.record(self._me, part, (leader[0], leader[1]))

    async def renounce(self, part: int, leader: Holder, heir: Holder) -> None:
        """Gives up following, for another one or (if that is the leader) for nobody."""
        held = self._held(part)
        async with held.taking:
            self._check_follows(held, leader)
            held.renounced = True
            held.heir = heir[0], heir[1]
        async with held.lock:
            await asyncio.to_thread(held.close)

    # --------------------------------------------------------------------- copies

    async def mirror(
        self, part: int, other: Holder, replace: bool = False
    ) -> bool | None:
        """Copies a part to another shard, which follows then.

        replace: also if there is a follower.

        Whether that can be done, or None if there is no need. Changes wait meanwhile.
        """
        other = other[0], other[1]
        async with self._leading(part) as held:
            if held.follower is not None:
                if not await self._line.alive(held.follower):
                    held.follower = None
                elif not replace:
                    return None
            await self._settle(part, held)
            if other in (self._me, held.follower):
                return False
            copy = uuid.uuid4().hex
            try:
                await self._copy(part, held, other, copy)
                await self._replace(part, held, other)
            except UnreachableError:
                return False
            except Exception:
                if held.recorded != other:
                    with suppress(UnreachableError, ElsewhereError):
                        await self._line.ask(other, "forget", part, copy)
                raise
            return True

    async def _copy(self, part: int, held: Held, other: Holder, copy: str) -> None:
        made = deepcopy(held.made)  # the other one may be in this process
        await self._line.ask(
            other, "follow", part, held.sizes, self._me, held.follower, made, copy
        )
        steps = held.copy()
        while (step := await asyncio.to_thread(next, steps, None)) is not None:
            await self._line.ask(other, "load", part, copy, *step)

    async def _replace(self, part: int, held: Held, other: Holder) -> None:
        """Makes the one that has a copy the follower: rule 10."""
        old, held.follower = held.follower, None  # if this fails, it is for nobody
        if old is not None:
            try:
                await self._line.ask(old, "renounce", part, self._me, other)
            except ElsewhereError:
                held.leads = False
                raise
        held.recorded = other
        await self._line.record(self._me, part, other)
        held.follower = other

    async def follow(
        self,
        part: int,
        sizes: Sizes,
        leader: Holder,
        before: Holder | None,
        made: dict[str, Made],
        copy: str,
    ) -> None:
        """Makes a part without pools, which its leader fills."""
        leader = leader[0], leader[1]
        if self._joining is None:
            self._joining = asyncio.Lock()
        async with self._joining:  # or one that is gone could come after one that is not
            if not await self._line.alive(leader):
                raise ElsewhereError
            old = self.parts.get(part)
            self.parts[part] = held = Held(Sizes(*sizes), made, copy)
            held.leader = leader
            held.before = None if before is None else (before[0], before[1])
        if old is not None:
            async with old.lock:
                await asyncio.to_thread(old.close)

    async def load(self, part: int, copy: str, change: str, *args: Any) -> None:
        """Makes a step of a copy."""
        held = self._held(part)
        if held.copy_of != copy:
            raise ElsewhereError
        await asyncio.to_thread(CHANGES[change], held, *args)

    async def forget(self, part: int, copy: str) -> None:
        """Drops what there is of a copy that failed; who led it is remembered."""
        held = self._held(part)
        if held.copy_of == copy and not held.leads:
            held.renounced = True
            await asyncio.to_thread(held.close)

    async def leave(self, part: int) -> None:
        """Leads without a follower, which gives up what it holds."""
        async with self._leading(part) as held:
            old, held.follower = held.follower, None
            await self._settle(part, held)
            if old is not None:
                with suppress(UnreachableError, ElsewhereError):
                    await self._line.ask(old, "renounce", part, self._me, self._me)
