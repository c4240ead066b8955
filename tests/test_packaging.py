"""What a wheel holds, and what compose starts, is written down by hand: nothing forgotten, nothing told."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pipeline.embedded import postgres

ROOT = Path(__file__).parents[1]


def test_every_package_is_in_the_wheel() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    rooms = {name.partition(".")[0] for name in listed}
    found = {
        ".".join(file.parent.relative_to(ROOT).parts) for room in rooms for file in (ROOT / room).rglob("__init__.py")
    }
    assert sorted(found) == sorted(listed)


def test_compose_puts_no_secret_into_arguments_that_everybody_can_read() -> None:
    yaml: Any = pytest.importorskip("yaml")
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert {"api", "media", "speech", "reaper", "postgres", "redis", "s3"} <= services.keys()
    for service in services.values():
        arguments = [service.get(part, "") for part in ("command", "entrypoint")] + [service.get("healthcheck")]
        # What begins with two signs is the container's own shell's to read, from its environment.
        assert not re.search(r"(?<!\$)\$\{?\w*(PASSWORD|KEY|SECRET)", str(arguments))


def test_compose_sets_postgres_as_the_embedded_one_is_set() -> None:
    yaml: Any = pytest.importorskip("yaml")
    command = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["postgres"]["command"].split()
    given = dict(setting.split("=") for setting in command[2::2])
    assert command[0] == "postgres"
    assert set(command[1::2]) == {"-c"}
    assert {"autovacuum_naptime", "log_parameter_max_length"} <= given.keys()
    assert given.items() <= postgres.SETTINGS.items()
