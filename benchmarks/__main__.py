"""`make bench`: every benchmark, or those named (`make bench ARGS="media speech"`)."""

import importlib
import pkgutil
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def main() -> None:
    known = [name for name in _modules() if hasattr(importlib.import_module(f"benchmarks.{name}"), "main")]
    wanted = sys.argv[1:] or known
    if unknown := set(wanted) - set(known):
        sys.exit(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    for name in wanted:
        print(f"\n== {name}", flush=True)
        sys.argv = [name]
        importlib.import_module(f"benchmarks.{name}").main()


def _modules() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules([str(FOLDER)]) if not module.name.startswith("_"))


if __name__ == "__main__":
    main()
