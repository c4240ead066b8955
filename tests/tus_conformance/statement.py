"""What is claimed of a server: a number, a sentence, and the test of it."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.tus_conformance.target import Target

Check = Callable[[Target], None]
STATEMENTS: list["Statement"] = []


@dataclass(frozen=True)
class Statement:
    """`check` raises AssertionError when it does not hold, NotApplicable when it can't be tried."""

    number: str
    text: str
    check: Check


def statement(number: str) -> Callable[[Check], Check]:
    """The sentence is the check's docstring."""

    def register(check: Check) -> Check:
        STATEMENTS.append(Statement(number, (check.__doc__ or "").strip(), check))
        return check

    return register
