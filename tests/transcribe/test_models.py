import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from transcribe import ModelError, TranscribeSettings, fetch_model, list_models, load_engine, resolve_model
from transcribe.loading import MICRO_PROMPT
from transcribe.models import MICRO_PATH


def test_micro_is_found_and_marked_as_a_demo() -> None:
    assert resolve_model("micro").path == MICRO_PATH
    assert resolve_model("micro").demo
    assert [model.name for model in list_models() if model.demo] == ["micro"]


def test_production_does_not_start_on_micro_unless_told() -> None:
    with pytest.raises(ModelError, match="EARSHOT_ALLOW_MICRO") as raised:
        resolve_model("micro", allow_micro=False)
    assert raised.value.code == "demo_model"


@pytest.mark.parametrize(
    ("name", "code", "advice"),
    [
        ("enormous", "unknown_model", "large-v3-turbo"),
        ("base", "model_missing", "earshot models fetch base"),
        ("somebody/whisper", "model_missing", "earshot models fetch somebody/whisper"),
        ("/no/such/folder", "model_missing", "EARSHOT_MODEL"),
        ("../up/../../and/away", "model_missing", "EARSHOT_MODEL"),
    ],
)
def test_a_model_that_is_not_here_says_what_to_do(name: str, code: str, advice: str) -> None:
    with pytest.raises(ModelError, match=advice) as raised:
        resolve_model(name)
    assert raised.value.code == code


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MICRO_PATH, tmp_path / "own-model"))


def test_a_folder_is_a_model_named_after_itself(folder: Path) -> None:
    resolved = resolve_model(str(folder))
    assert (resolved.name, resolved.path, resolved.demo) == ("own-model", folder, False)


@pytest.mark.parametrize("file", ["config.json", "model.bin", "tokenizer.json", "vocabulary.json"])
def test_a_folder_that_lacks_a_file_is_named_with_the_file(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(ModelError, match=file) as raised:
        resolve_model(str(folder))
    assert raised.value.code == "model_incomplete"


@pytest.mark.parametrize(
    "head", [b"", b"\x06\x00", b"GGUF" * 20, b"\x06\x00\x00\x00\x10\x00TransformerSpec\x00" + bytes(99)]
)
def test_what_is_not_whisper_is_refused(folder: Path, head: bytes) -> None:
    (folder / "model.bin").write_bytes(head)
    with pytest.raises(ModelError, match="not a Whisper model") as raised:
        resolve_model(str(folder))
    assert raised.value.code == "not_whisper"


def test_a_broken_model_file_is_told_when_it_is_loaded(folder: Path) -> None:
    (folder / "model.bin").write_bytes((folder / "model.bin").read_bytes()[:100_000])
    with pytest.raises(ModelError, match="Fetch or convert it again") as raised:
        load_engine(TranscribeSettings(model=str(folder)))
    assert raised.value.code == "model_incomplete"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("tokenizer.json", "{broken"),
        ("tokenizer.json", json.dumps({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}})),
        ("vocabulary.json", '["a", "b"]'),
        ("preprocessor_config.json", '{"feature_size": 128}'),
        ("config.json", '{"lang_ids": "x"}'),
    ],
)
def test_files_that_do_not_belong_together_are_told_before_any_message_fails_by_them(
    folder: Path, file: str, content: str
) -> None:
    (folder / file).write_text(content)
    with pytest.raises(ModelError, match="do not belong together") as raised:
        load_engine(TranscribeSettings(model=str(folder)))
    assert raised.value.code == "model_incomplete"


def test_settings_for_a_language_that_does_not_exist_stop_the_start() -> None:
    with pytest.raises(ModelError, match="EARSHOT_LANGUAGES") as raised:
        load_engine(TranscribeSettings(model="micro", languages=("en", "xx")))
    assert raised.value.code == "unknown_language"


def test_hotwords_that_the_model_has_no_room_for_stop_the_start() -> None:
    with pytest.raises(ModelError, match=f"at most {MICRO_PROMPT}: leave terms out") as raised:
        load_engine(TranscribeSettings(model="micro", hotwords="Dvořák, Szymborska, " * 20))
    assert raised.value.code == "prompt_too_long"


def test_a_hub_out_of_reach_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match="HF_ENDPOINT") as raised:
        fetch_model("base")
    assert raised.value.code == "hub_unreachable"


@pytest.mark.parametrize(("name", "advice"), [("bass", "no model is called"), ("a/b/c", "check its id")])
def test_fetching_a_name_nobody_knows_is_told_at_once(name: str, advice: str) -> None:
    with pytest.raises(ModelError, match=advice) as raised:
        fetch_model(name)
    assert raised.value.code == "unknown_model"


def test_auto_takes_a_fetched_model_before_micro(tmp_path: Path) -> None:
    assert _in_cache(tmp_path) == ["micro", ["micro"]]
    repository = tmp_path / "models--Systran--faster-whisper-tiny"
    shutil.copytree(MICRO_PATH, repository / "snapshots" / "abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    assert _in_cache(tmp_path) == ["tiny", ["tiny", "micro"]]


def test_importing_the_room_loads_no_model_library() -> None:
    heavy = "{'ctranslate2', 'onnxruntime', 'faster_whisper', 'av'}"
    assert _python(f"import transcribe, sys; print(len({heavy} & set(sys.modules)))") == "0"


def _in_cache(cache: Path) -> object:
    code = (
        "import json, transcribe as t; print(json.dumps([t.resolve_model().name, [m.name for m in t.list_models()]]))"
    )
    return json.loads(_python(code, HF_HUB_CACHE=str(cache)))


def _python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
