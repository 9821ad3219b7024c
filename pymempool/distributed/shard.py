# SPDX-License-Identifier: MIT
"""Shard: a Dask actor with the parts that one worker holds.

A part has one or two holders: a leader (the primary) and a follower (its backup). These
are the rules by which the two stay equal, and a read is linearizable:

1. One holder leads the part, and calls go only to it. The other one follows.
2. A holder is lost when the scheduler knows no worker that has its shard. Dask never
   restarts a failed actor: it stays lost, even if its process still runs.
3. The scheduler keeps a record under the key of the leader's shard: the follower that has
   all acknowledged changes. Only the shard of that key writes the record, and writes it
   anew when it takes the lead.
4. A leader applies changes one at a time: first at the follower, then at itself. It goes
   on alone if the follower cannot be reached or had another outcome: it removes the
   follower from the record, and only then, if it is not lost itself, goes on and
   acknowledges. If it is lost, it puts its follower back into the record, and does not
   lead any more. The outcome at the leader is the outcome of the call.
5. A follower takes the lead if the leader is lost, the follower itself is not lost, and
   after that the leader's record names it. It then refuses what the old leader sends.
6. A change has a number, by which a holder knows that it has applied it. A sender that
   got no reply sends it again, and it is still applied once.
7. A search for the leader starts at any former leader. If that is lost, it goes on to the
   holder that its record names; else to the holder that it names itself. If the record of
   one that is lost names none, the part is lost.
8. A leader answers a query only when it knows that no other holder had taken the lead
   when it read the answer: after that moment its follower has said that it still follows,
   or the scheduler that the leader is not lost.
9. A leader hands the lead over between two changes: it tells its follower, which first
   writes the old leader into its own record. The old leader follows from then on. The
   follower takes the lead at its next call, after the old leader has confirmed this.
10. A leader replaces its follower between two changes: it copies the part to the new
   one; then the old one renounces in favour of the new one, or refuses if it has taken
   the lead; then the record names the new one. A holder that has renounced never leads. A
   follower takes the lead (rule 5) also if the record names one that has renounced in its
   favour.
11. A holder begins to follow only if the scheduler says at that moment that the leader is
   not lost, and it applies to the part only the messages of that copy.

So no acknowledged change is lost. If a follower takes the lead, then by 2 and 5 its
leader was lost before it read the record; a leader that goes on alone is not lost after
it wrote it. One of the two comes first: either the follower reads that it was left
behind, or the leader does not acknowledge. Two can never take the lead from the same one:
before 10 lets the new one do so, the old one has said that it has not and will not. What
a leader that is lost still does is harmless: it can write only its own record, by 4 and
10 nobody follows it to another place, and by 11 it destroys no copy of its successor. So
at most one holder that is not lost leads.

And no read returns old data. Let a leader read an answer at one moment, and its follower
say later that it follows: then the follower had not taken the lead at that moment, and
all acknowledged changes had been applied by this leader before. If the scheduler says
later that the leader is not lost, the follower had not taken the lead either, by 5. Both
hold however long a process was stopped, at whatever place, and however late a message
arrives; no clock matters. A leader whose record names no follower need not check: no
holder can take the lead from it.

A read can show a change that is still under way.

A part has one lock at each holder for changes, and one for taking the lead. A holder that
waits for a lock of another holds its own lock of the same part. Only the leader of a
holder waits for it, or somebody waits for it while it does not lead: so no circle of
waits, and no deadlock, is possible.
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
    WorkerTransport,
)
from .part import CHANGES, AppliedChanges, Number, Part, Sizes

_TRIES = 3  # before a leader goes alone without its follower


class Replica(Part):
    """A part at one holder, and the role of that holder."""

    def __init__(
        self, sizes: Sizes, applied: dict[str, AppliedChanges], copy: str = ""
    ) -> None:
        super().__init__(sizes, applied)
        self.lock = asyncio.Lock()
        self.taking = asyncio.Lock()  # the lead
        self.leads = False
        self.leader: Holder | None = None  # if it does not lead, as last known
        self.before: Holder | None = None  # the follower that it replaces
        self.copy_of = copy  # the name of the copy by which it was made
        self.heir: Holder | None = None  # the holder in whose favour it has renounced
        self.renounced = False  # its pools are closed
        self.follower: Holder | None = None  # if it leads: where it sends changes
        self.recorded: Holder | None = None  # the follower that its record may name


class Shard:
    """The actor. Its methods are coroutines on the worker's event loop."""

    def __init__(self, key: str) -> None:
        worker = get_worker()
        self.parts: dict[int, Replica] = {}
        self._me: Holder = worker.address, key
        self._transport = WorkerTransport(worker)
        self._joining: asyncio.Lock | None = None  # a lock is made where there is a loop

    async def lead(self, part: int, sizes: Sizes, name: str, total_size: int) -> None:
        """Makes a part with one pool of zeros, to lead it."""
        held = Replica(Sizes(*sizes), {})
        CHANGES["create"](held, name, total_size)
        held.leads = True
        self.parts[part] = held

    # ------------------------------------------------------------------- the leader

    async def query(self, part: int, query: str, *args: Any) -> Any:
        """Answers a query about a part that is led here."""
        held = await self._led(part)
        try:
            return await held.query(query, *args)
        finally:  # an error is an answer as well
            await self._confirm(part, held)

    async def placed(self, part: int) -> list[Holder]:
        """Returns the holders of a part that is led here, the leader first."""
        held = await self._led(part)
        follower = held.follower
        if not held.leads or not await self._transport.alive(self._me):
            raise ElsewhereError
        if follower is None or not await self._transport.alive(follower):
            return [self._me]
        return [self._me, follower]

    async def _confirm(self, part: int, held: Replica) -> None:
        """Raises ElsewhereError if another one has taken the lead before: rule 8."""
        other = held.recorded
        if held.leads and other is None:
            return
        if held.leads and other is not None:
            asked = asyncio.ensure_future(
                self._transport.request(other, "follows", part, self._me)
            )
            try:  # if it is silent, the scheduler answers sooner
                await asyncio.wait({asked}, timeout=PAUSE)
                if asked.done() and not asked.exception():
                    return
            finally:
                asked.cancel()
        if not held.leads or not await self._transport.alive(self._me):
            held.leads = False
            raise ElsewhereError

    async def change(
        self, part: int, number: Number, change: str, *args: Any
    ) -> Exception | None:
        """Applies a change at both holders; returns what it raised."""
        async with self._leading(part) as held:
            theirs = None
            if held.follower is not None:
                try:
                    theirs = await self._forward(held, part, number, change, args)
                except UnreachableError:
                    held.follower = None
            await self._settle(part, held)
            ours = await held.apply(number, change, *args)
            if held.follower is not None and type(theirs) is not type(ours):
                held.follower = None
                await self._settle(part, held)
            return ours

    async def _forward(
        self, held: Replica, part: int, number: Number, change: str, args: Any
    ) -> Any:
        """Applies a change at the follower; returns what it raised."""
        follower = held.follower
        assert follower is not None
        for _ in range(_TRIES):
            try:
                return await self._transport.request(
                    follower, "take", part, self._me, number, change, *args
                )
            except ElsewhereError:
                held.leads = False
                raise
            except UnreachableError:
                if not await self._transport.alive(follower):
                    break
                await asyncio.sleep(PAUSE)
        raise UnreachableError(follower[0])

    async def _settle(self, part: int, held: Replica) -> None:
        """Removes a follower that was lost from the record: rule 4."""
        if held.follower == held.recorded:
            return
        if await self._transport.alive(self._me):
            await self._transport.record(self._me, part, None)
            if await self._transport.alive(self._me):
                held.recorded = None
                return
            # Declared dead meanwhile: the follower has all acknowledged changes.
            await self._transport.record(self._me, part, held.recorded)
        held.leads = False
        raise ElsewhereError

    @asynccontextmanager
    async def _leading(self, part: int) -> AsyncIterator[Replica]:
        """Locks a part that is led here."""
        held = self._held(part)
        async with held.lock:
            if await self._led(part) is not held:
                raise ElsewhereError
            yield held

    def _held(self, part: int) -> Replica:
        try:
            return self.parts[part]
        except KeyError:
            raise ElsewhereError from None

    # ----------------------------------------------------------------- taking the lead

    async def _led(self, part: int) -> Replica:
        """Returns a part that is led here, or takes the lead. Raises ElsewhereError."""
        held = self._held(part)
        if not held.leads:
            async with held.taking:
                if not held.leads:
                    await self._take_lead(part, held)
        return held

    async def _take_lead(self, part: int, held: Replica) -> None:
        """Takes the lead by rules 5, 9 and 10. Raises ElsewhereError."""
        leader = held.leader
        if leader is None:
            raise ElsewhereError
        if held.renounced:
            raise MovedError(await self._after(part, held, leader))
        if await self._transport.alive(leader):
            if not await self._vouched(part, leader):
                raise MovedError(leader)
            held.follower = held.recorded = leader
        else:
            if not await self._transport.alive(self._me):
                raise ElsewhereError
            named = await self._transport.follower(leader, part)
            if named != self._me and (
                named is None
                or named != held.before
                or not await self._vouched(part, named)
            ):
                raise MovedError(leader)
            held.follower = held.recorded = None
            await self._transport.record(self._me, part, None)
        held.leads, held.leader = True, None
        held.before = held.heir = None

    async def _after(self, part: int, held: Replica, leader: Holder) -> Holder:
        """Returns where a search for the leader goes on from one that has renounced."""
        if held.heir is None or await self._transport.alive(leader):
            return leader
        named = await self._transport.follower(leader, part)
        return held.heir if named == self._me else leader

    async def _vouched(self, part: int, other: Holder) -> bool:
        try:
            return bool(await self._transport.request(other, "vouch", part, self._me))
        except (UnreachableError, ElsewhereError):
            return False

    async def vouch(self, part: int, heir: Holder) -> bool:
        """Returns whether this holder has renounced in favour of another one."""
        return self._held(part).heir == tuple(heir)

    async def hand_over(self, part: int) -> bool:
        """Hands the lead over to the follower; returns whether there is one."""
        async with self._leading(part) as held:
            heir = held.follower
            await self._settle(part, held)
            if heir is None or not await self._transport.alive(heir):
                return False
            try:
                await self._transport.request(heir, "prepare", part, self._me)
            except UnreachableError:
                return False
            held.leads, held.leader, held.heir = False, heir, heir
            held.follower = held.recorded = None
            return True

    # ----------------------------------------------------------------- the follower

    async def take(
        self, part: int, leader: Holder, number: Number, change: str, *args: Any
    ) -> Exception | None:
        """Applies a change that the leader will apply; returns what it raised."""
        held = self._held(part)
        async with held.lock:
            self._check_follows(held, leader)
            return await held.apply(number, change, *args)

    async def follows(self, part: int, leader: Holder) -> None:
        """Raises ElsewhereError if this holder does not follow that one."""
        self._check_follows(self._held(part), leader)

    @staticmethod
    def _check_follows(held: Replica, leader: Holder) -> None:
        if held.leads or held.renounced or held.leader != tuple(leader):
            raise ElsewhereError

    async def prepare(self, part: int, leader: Holder) -> None:
        """Prepares to lead, with the present leader as the follower."""
        held = self._held(part)
        async with held.taking:
            self._check_follows(held, leader)
            held.heir = None
            await self._transport.record(self._me, part, (leader[0], leader[1]))

    async def renounce(self, part: int, leader: Holder, heir: Holder) -> None:
        """Ends to follow, in favour of another one. The leader stands for none."""
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
        """Copies a part to another shard, which follows from then on.

        replace: whether to replace a follower that there is.

        Returns whether it was done; None if there is no need. Changes wait meanwhile.
        """
        other = other[0], other[1]
        async with self._leading(part) as held:
            if held.follower is not None:
                if not await self._transport.alive(held.follower):
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
                        await self._transport.request(other, "forget", part, copy)
                raise
            return True

    async def _copy(self, part: int, held: Replica, other: Holder, copy: str) -> None:
        applied = deepcopy(held.applied)  # the other one may be in this process
        await self._transport.request(
            other, "follow", part, held.sizes, self._me, held.follower, applied, copy
        )
        steps = held.copy()
        while (step := await asyncio.to_thread(next, steps, None)) is not None:
            await self._transport.request(other, "load", part, copy, *step)

    async def _replace(self, part: int, held: Replica, other: Holder) -> None:
        """Makes the shard that has a copy the follower: rule 10."""
        old, held.follower = held.follower, None  # no follower if this fails
        if old is not None:
            try:
                await self._transport.request(old, "renounce", part, self._me, other)
            except ElsewhereError:
                held.leads = False
                raise
        held.recorded = other
        await self._transport.record(self._me, part, other)
        held.follower = other

    async def follow(
        self,
        part: int,
        sizes: Sizes,
        leader: Holder,
        before: Holder | None,
        applied: dict[str, AppliedChanges],
        copy: str,
    ) -> None:
        """Makes a part without pools, which its leader fills."""
        leader = leader[0], leader[1]
        if self._joining is None:
            self._joining = asyncio.Lock()
        async with self._joining:  # or a lost leader's copy could replace a later one
            if not await self._transport.alive(leader):
                raise ElsewhereError
            old = self.parts.get(part)
            self.parts[part] = held = Replica(Sizes(*sizes), applied, copy)
            held.leader = leader
            held.before = None if before is None else (before[0], before[1])
        if old is not None:
            async with old.lock:
                await asyncio.to_thread(old.close)

    async def load(self, part: int, copy: str, change: str, *args: Any) -> None:
        """Applies one change of a copy."""
        held = self._held(part)
        if held.copy_of != copy:
            raise ElsewhereError
        await asyncio.to_thread(CHANGES[change], held, *args)

    async def forget(self, part: int, copy: str) -> None:
        """Frees the data of a copy that failed, and keeps who led it."""
        held = self._held(part)
        if held.copy_of == copy and not held.leads:
            held.renounced = True
            await asyncio.to_thread(held.close)

    async def leave(self, part: int) -> None:
        """Leads without a follower from now on. The follower frees its data."""
        async with self._leading(part) as held:
            old, held.follower = held.follower, None
            await self._settle(part, held)
            if old is not None:
                with suppress(UnreachableError, ElsewhereError):
                    await self._transport.request(
                        old, "renounce", part, self._me, self._me
                    )
