import asyncio
import threading
import time

import pytest

from ingest.executor import Executor


def test_what_the_work_gives_or_raises_reaches_its_caller() -> None:
    executor = Executor(1)

    async def calls() -> None:
        assert await executor.run(max, 1, 2) == 2
        with pytest.raises(ZeroDivisionError):
            await executor.run(divmod, 1, 0)

    asyncio.run(calls())
    executor.close()


def test_who_is_cancelled_waits_for_the_end_of_the_work() -> None:
    executor, began, ended = Executor(1), threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        time.sleep(0.2)
        ended.set()

    async def cancelled() -> None:
        task = asyncio.create_task(executor.run(work))
        await asyncio.to_thread(began.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()

    asyncio.run(cancelled())
    executor.close()


def test_more_than_its_threads_wait_their_turn() -> None:
    executor, now, most, lock = Executor(2), 0, 0, threading.Lock()

    def work() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1

    async def calls() -> None:
        await asyncio.gather(*(executor.run(work) for _ in range(8)))

    asyncio.run(calls())
    executor.close()
    assert most == 2
