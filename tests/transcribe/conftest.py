from collections.abc import Iterator

import pytest

from transcribe import TranscribeSettings
from transcribe.engine import FittedEngine
from transcribe.loading import load


@pytest.fixture(scope="package")
def engine() -> Iterator[FittedEngine]:
    """The bundled model with everything on."""
    engine = load(TranscribeSettings(model="micro"))
    yield engine
    engine.close()
