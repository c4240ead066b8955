"""The embedded stack as one thing: `with Stack(folder) as stack`, or `run` until Ctrl-C."""

import os
import signal
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from types import FrameType, TracebackType
from typing import Self

from pipeline.embedded.data_dir import DataDir, write_private
from pipeline.embedded.environment import Ports, Replaced, for_rooms
from pipeline.embedded.failures import DataDirInUse, PartFailed, StartCancelled
from pipeline.embedded.parts import Part, Plan, loopback_of
from pipeline.embedded.ports import free_port, is_free
from pipeline.embedded.supervisor import Supervisor

USUAL_PORT = 8300


@dataclass(frozen=True)
class StackInfo:
    """`url` is the API's own address, also where EARSHOT_PUBLIC_URL names another.

    A process with `environment`, which API and workers run with, reaches the same servers. `jwt_secret` is empty where
    EARSHOT_JWKS_URL takes its place.
    """

    url: str
    data_dir: Path
    jwt_secret: str
    environment: Mapping[str, str]


class Stack:
    """Entered when everything answers, left when nothing runs any more.

    `port` 0 is any free one; the usual one gives way when it is taken, another one does not. Entering raises PartFailed
    (a part can't start; the message says why), DataDirInUse or StartCancelled.
    """

    def __init__(
        self,
        data_dir: Path,
        host: str = "127.0.0.1",
        port: int = USUAL_PORT,
        model: str = "auto",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._data = DataDir(data_dir)
        self._host = host
        self._port = port
        self._model = model
        self._outside = dict(os.environ if environment is None else environment)
        self._stopping = Event()
        # Waited for instead of joining the thread: a signal's exception out of join() marks the thread as ended.
        self._ended = Event()
        self._info: Future[StackInfo] = Future()
        self._failure: BaseException | None = None
        # One thread starts, watches and stops everything: parts die with the thread that started them.
        self._thread = Thread(target=self._live, name="embedded-stack", daemon=True)

    @property
    def info(self) -> StackInfo:
        return self._info.result()

    def cancel(self) -> None:
        """Begins the stop; safe in a signal handler."""
        self._stopping.set()

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._info.result()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def wait(self) -> None:
        """Returns when the stack was told to stop and nothing of it runs; raises what ended it otherwise."""
        self._ended.wait()
        if self._failure:
            raise self._failure

    def _end(self) -> None:
        self._stopping.set()
        self._ended.wait()

    def _live(self) -> None:
        try:
            with self._data.locked():
                self._start_and_watch()
        except BaseException as error:
            if self._info.done():
                self._failure = error
            else:
                self._info.set_exception(error)
        finally:
            self._ended.set()

    def _start_and_watch(self) -> None:
        if sys.platform != "linux":
            raise PartFailed("the embedded stack runs on Linux: its parts die with it by a feature of that kernel")
        self._data.stack_file.unlink(missing_ok=True)
        plan = self._plan()
        parts = [*plan.servers(), *plan.rooms()]
        for name in ("migrate", *(part.name for part in parts)):
            self._data.rotate_log(name)
        settings = plan.environment
        info = StackInfo(
            url=plan.url,
            data_dir=self._data.path,
            jwt_secret=settings.get("EARSHOT_JWT_SECRET", ""),
            environment=settings,
        )
        supervisor = Supervisor(self._stopping, lambda pids: self._publish(info, parts, pids))
        try:
            plan.prepare()
            supervisor.start(plan.servers())
            plan.migrate()
            supervisor.start(plan.rooms())
            supervisor.publish()
            self._info.set_result(info)
            supervisor.watch()
        finally:
            supervisor.stop()
            self._data.stack_file.unlink(missing_ok=True)

    def _plan(self) -> Plan:
        replaced = Replaced.by(self._outside)
        keys = self._data.credentials()
        ports = Ports.of(self._data, replaced, self._free_api_port())
        local = loopback_of(self._host)
        own_url = f"http://{f'[{local}]' if ':' in local else local}:{ports.api}"
        environment = for_rooms(self._outside, ports, keys, public_url=own_url, model=self._model)
        return Plan(self._data, keys, ports, replaced, self._host, own_url, environment)

    def _free_api_port(self) -> int:
        if self._port not in (0, USUAL_PORT) and not is_free(self._port, self._host):
            raise PartFailed(f"{self._host}:{self._port} is taken: choose another --port, or 0 for a free one")
        try:
            return free_port(self._port or None, self._host)
        except OSError as error:
            raise PartFailed(f"this machine can't listen on {self._host}") from error

    def _publish(self, info: StackInfo, parts: list[Part], pids: Mapping[str, int]) -> None:
        write_private(
            self._data.stack_file,
            {
                "url": info.url,
                "pid": os.getpid(),
                "jwt_secret": info.jwt_secret,
                "settings": {
                    name: value for name, value in info.environment.items() if name.startswith(("EARSHOT_", "AWS_"))
                },
                "parts": {
                    part.name: {
                        "pid": pids[part.name],
                        "url": part.url,
                        "log": str(self._data.log(part.name)),
                    }
                    for part in parts
                },
            },
        )


def run(data_dir: Path, host: str, port: int, model: str, ready: Callable[[StackInfo], bool | None]) -> int:
    """Runs the stack until Ctrl-C, SIGTERM or SIGHUP, or until `ready` returns False; that is called when all answers.

    Returns the exit status: 0 when it was stopped, 1 when it could not start, which is said on stderr. Only for the
    main thread, whose signals it takes: `ready` sees them as KeyboardInterrupt.
    """
    stack = Stack(data_dir, host, port, model)

    def stop(number: int, frame: FrameType | None) -> None:
        if not stack.stopping:
            stack.cancel()
            raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with suppress(KeyboardInterrupt, StartCancelled), stack:
            if ready(stack.info) is not False:
                stack.wait()
    except (PartFailed, DataDirInUse) as error:
        print(f"earshot: {error}", file=sys.stderr)
        return 1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0
