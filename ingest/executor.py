"""Threads for what blocks, at half the cost of the framework's: those are made for any event loop and any context."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class _End(asyncio.Future[T]):
    """Can't be cancelled: a task that waits for it is cancelled once it is there."""

    def cancel(self, msg: object = None) -> bool:
        return False


class Executor:
    """At most so many threads, made as they are needed; what is more waits its turn."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="ingest")

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """Who is cancelled meanwhile still waits for the end: the work may use what its caller would clear away."""
        loop = asyncio.get_running_loop()
        done: _End[T] = _End(loop=loop)
        self._pool.submit(_carry_out, loop, done, work, arguments)
        return await done

    def close(self) -> None:
        self._pool.shutdown(wait=False)


def _carry_out(
    loop: asyncio.AbstractEventLoop, done: _End[T], work: Callable[..., T], arguments: tuple[object, ...]
) -> None:
    try:
        loop.call_soon_threadsafe(done.set_result, work(*arguments))
    except BaseException as error:
        loop.call_soon_threadsafe(done.set_exception, error)
