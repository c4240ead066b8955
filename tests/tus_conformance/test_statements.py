import pytest

from tests.tus_conformance import core, extensions, faults, messages  # noqa: F401 - they register their statements
from tests.tus_conformance.statement import STATEMENTS, Statement
from tests.tus_conformance.target import NotApplicable, Target


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda each: f"{each.number}-{each.check.__name__}")
def test_every_statement_holds(statement: Statement, target: Target) -> None:
    try:
        statement.check(target)
    except NotApplicable as reason:
        pytest.fail(f"every statement is applicable to our own server: {reason}")
