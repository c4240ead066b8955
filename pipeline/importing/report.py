"""What became of an import. However many lines were refused, the memory holds only their number."""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Literal, Self, TextIO

Outcome = Literal["refused", "failed"]
Count = Literal["imported", "already_there"] | Outcome


@dataclass(frozen=True)
class Trouble:
    """A line of which there is no message that plays. `refused`: the line or its file is at fault; `failed`: we are."""

    line: int
    file: str
    outcome: Outcome
    code: str
    message: str


class Report:
    def __init__(self, *, dry_run: bool) -> None:
        self.counts: Counter[Count] = Counter()
        self.codes: Counter[str] = Counter()
        self.under_way = 0
        self.interrupted = False
        self._dry_run = dry_run
        self._troubles = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - closed with the report

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._troubles.close()

    @property
    def lines(self) -> int:
        return self.counts.total()

    @property
    def is_clean(self) -> bool:
        return not (self.counts["refused"] or self.counts["failed"])

    def note(self, trouble: Trouble) -> None:
        self.counts[trouble.outcome] += 1
        self.codes[trouble.code] += 1
        self._troubles.write(json.dumps(asdict(trouble)) + "\n")

    def summary(self) -> dict[str, Any]:
        """`under_way` of the imported and those already there wait for workers still."""
        return {
            "dry_run": self._dry_run,
            "interrupted": self.interrupted,
            "lines": self.lines,
            **{name: self.counts[name] for name in ("imported", "already_there", "refused", "failed")},
            "under_way": self.under_way,
            "codes": dict(sorted(self.codes.items())),
        }

    def write_json(self, out: TextIO) -> None:
        """One object: the summary and `troubles`, a list."""
        out.write(json.dumps(self.summary())[:-1] + ', "troubles": [')
        for number, trouble in enumerate(self._stored()):
            out.write(("," if number else "") + "\n " + trouble.rstrip("\n"))
        out.write("]}\n")

    def write_text(self, out: TextIO) -> None:
        for stored in self._stored():
            trouble = Trouble(**json.loads(stored))
            file = trouble.file.encode("ascii", "backslashreplace").decode() if trouble.file else "-"
            out.write(f"line {trouble.line}: {trouble.outcome} {trouble.code}: {file}: {trouble.message}\n")
        verb = "would be imported" if self._dry_run else "imported"
        said = [
            f"{self.counts['imported']} {verb}",
            f"{self.counts['already_there']} already there",
            f"{self.counts['refused']} refused",
            f"{self.counts['failed']} failed",
        ]
        if self.under_way:
            said.append(f"{self.under_way} of them still wait for workers")
        out.write(", ".join(said) + ("\n" if not self.interrupted else "\ninterrupted: run it again to go on\n"))

    def _stored(self) -> Iterator[str]:
        self._troubles.seek(0)
        yield from self._troubles
