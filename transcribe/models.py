import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

from transcribe.errors import ModelError

MICRO = "micro"
MICRO_PATH = Path(__file__).parent / "micro"
CONVERT = "ct2-transformers-converter --copy_files tokenizer.json preprocessor_config.json"


@dataclass(frozen=True)
class ResolvedModel:
    """A model folder that is complete and holds Whisper. `name` is what transcripts carry."""

    name: str
    path: Path

    @property
    def demo(self) -> bool:
        return self.path == MICRO_PATH

    @property
    def version(self) -> str:
        """Which weights: the hub's commit, or the beginning of their SHA-256."""
        if self.path.parent.name == "snapshots":
            return self.path.name[:12]
        with (self.path / "model.bin").open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:12]

    def __str__(self) -> str:
        return f"{self.name} at {self.path}"


@dataclass(frozen=True)
class ListedModel:
    """A model on this machine; `size` in bytes. `demo`: it knows only sample sentences."""

    name: str
    path: Path
    size: int
    demo: bool

    def __str__(self) -> str:
        return f"{self.name:20s} {self.size / 1e6:8.1f} MB  {self.path}{'  (demo only)' if self.demo else ''}"


def resolve_model(name: str = "auto", *, allow_micro: bool = True) -> ResolvedModel:
    """Find a model on this machine; never downloads. Raises ModelError whose message says what to do.

    name: `auto` (the real model fetched last, else `micro`), `micro`, a known name, a hub id or a folder.
    """
    resolved = _newest_fetched() if name in ("", "auto") else _named(name)
    if resolved.demo and not allow_micro:
        raise ModelError(
            "demo_model",
            "`micro` only knows its own sample sentences: run `earshot models fetch base` and set "
            "EARSHOT_MODEL=base, or set EARSHOT_ALLOW_MICRO=true to serve demo transcripts",
        )
    return resolved


def fetch_model(name: str) -> ResolvedModel:
    """Download a model from the hub into its cache, with faster-whisper's own loading. Raises ModelError."""
    from faster_whisper.utils import download_model
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError

    if name == MICRO or _is_folder(name):
        return _named(name)
    _must_be_known(name)
    try:
        path = Path(download_model(name))
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ModelError("unknown_model", f"the hub has no model {name!r}: check its id") from error
    except (HfHubHTTPError, OSError) as error:
        raise ModelError(
            "hub_unreachable",
            f"could not fetch {name!r} ({_first_line(error)}): check the network or HF_ENDPOINT, "
            "or copy a converted model folder here and set EARSHOT_MODEL to its path",
        ) from error
    return _checked(name, path)


def list_models() -> list[ListedModel]:
    """The bundled model and every known model in the hub cache, the one fetched last first."""
    found = [*_fetched(), ResolvedModel(MICRO, MICRO_PATH)]
    return [ListedModel(model.name, model.path, _size(model.path), model.demo) for model in found]


def _newest_fetched() -> ResolvedModel:
    return next(iter(_fetched()), ResolvedModel(MICRO, MICRO_PATH))


def _fetched() -> list[ResolvedModel]:
    # Several names are one repository ("large" is "large-v3"): the folder is listed once, by its longest name.
    by_path: dict[Path, str] = {}
    for name in _known_names():
        path = _cached(name)
        if path is not None and not _missing(path):
            by_path[path] = max(name, by_path.get(path, ""), key=len)
    newest_first = sorted(by_path, key=lambda path: path.stat().st_mtime, reverse=True)
    return [ResolvedModel(by_path[path], path) for path in newest_first]


def _named(name: str) -> ResolvedModel:
    if name == MICRO:
        return _checked(MICRO, MICRO_PATH)
    if _is_folder(name):
        folder = _folder(name)
        own_name = folder.resolve().name
        return _checked(own_name if own_name != MICRO else str(folder.resolve()), folder)
    _must_be_known(name)
    path = _cached(name)
    if path is None:
        raise ModelError("model_missing", f"model {name!r} is not on this machine: run `earshot models fetch {name}`")
    return _checked(name, path)


def _is_folder(name: str) -> bool:
    return name not in _known_names() and (_folder(name).is_dir() or name.startswith((".", "/", "~")))


def _folder(name: str) -> Path:
    try:
        folder = Path(name).expanduser()
        folder.is_dir()
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelError(
            "unknown_model", f"this can't be the name of a model or folder ({_first_line(error)})"
        ) from error
    return folder


def _must_be_known(name: str) -> None:
    if "/" not in name and name not in _known_names():
        names = ", ".join(_known_names())
        raise ModelError("unknown_model", f"no model is called {name!r}; known are micro, {names}, a hub id, a folder")


def _known_names() -> list[str]:
    from faster_whisper.utils import available_models

    return [str(name) for name in available_models()]


def _cached(name: str) -> Path | None:
    from faster_whisper.utils import download_model
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(download_model(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, FileNotFoundError):
        return None


def _checked(name: str, path: Path) -> ResolvedModel:
    if not path.is_dir():
        raise ModelError("model_missing", f"no model folder at {path}: set EARSHOT_MODEL to an existing one")
    missing = _missing(path)
    if missing:
        raise ModelError(
            "model_incomplete", f"{path} lacks {', '.join(missing)}: convert or copy the model again ({CONVERT})"
        )
    kind = _spec_name(path / "model.bin")
    if kind != "WhisperSpec":
        raise ModelError("not_whisper", f"{path} holds {kind}, not a Whisper model in CTranslate2 form ({CONVERT})")
    return ResolvedModel(name, path)


def _missing(path: Path) -> list[str]:
    required = ["config.json", "model.bin", "tokenizer.json"]
    missing = [file for file in required if not (path / file).is_file()]
    return missing if any(path.glob("vocabulary.*")) else [*missing, "vocabulary.json"]


def _spec_name(model_bin: Path) -> str:
    """CTranslate2 writes a format version, then the name of the specification, before the weights."""
    with model_bin.open("rb") as file:
        head = file.read(256)
    if len(head) < 6:
        return "an empty or truncated model.bin"
    (length,) = struct.unpack_from("<H", head, 4)
    name = head[6 : 6 + length].rstrip(b"\0")
    return name.decode("ascii", "replace") if name.isascii() and name else "an unknown format"


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.iterdir() if file.is_file())


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
