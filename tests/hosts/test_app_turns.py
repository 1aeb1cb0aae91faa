"""Turns: work of one kind is done a little at a time and takes no thread of another kind."""

from __future__ import annotations

import asyncio
import threading

import pytest

pytest.importorskip("fastapi")  # collected without the hosts as well
from fastapi import HTTPException
from starlette.concurrency import run_in_threadpool

from apps.iris_app.waiting.turns import Turns

pytestmark = [pytest.mark.hosts, pytest.mark.monailabel]
WAITING = 60  # more than the threads that other requests share


def test_work_that_waits_for_its_turn_takes_no_thread_of_others_and_one_more_is_sent_away():
    go, running, most_at_once, done = threading.Event(), [], [], []

    def work(number: int) -> None:
        running.append(number)
        most_at_once.append(len(running))
        go.wait(30)
        running.remove(number)
        done.append(number)

    async def requests() -> None:
        turns = Turns(2, WAITING)
        waiting = [asyncio.ensure_future(turns.run(work, number)) for number in range(WAITING + 2)]
        await asyncio.sleep(0)  # now each of them has asked
        with pytest.raises(HTTPException) as refused:
            await turns.run(work, -1)
        assert refused.value.status_code == 503
        assert await asyncio.wait_for(run_in_threadpool(lambda: "others"), 10) == "others" and done == []
        go.set()
        await asyncio.gather(*waiting)

    asyncio.run(requests())
    assert sorted(done) == list(range(WAITING + 2)) and max(most_at_once) == 2


def test_what_the_work_gives_or_raises_comes_back_and_the_turn_with_it():
    async def requests() -> None:
        turns = Turns(1, 1)
        for _ in range(5):
            assert await turns.run(max, 1, 2) == 2
            with pytest.raises(ZeroDivisionError):
                await turns.run(divmod, 1, 0)

    asyncio.run(requests())
