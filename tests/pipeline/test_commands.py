"""`earshot` as an operator types it, on the test's own servers."""

import json
import os
from pathlib import Path

import jwt
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from pipeline import failures
from pipeline.cli import app
from pipeline.commands.errors import UserError
from pipeline.context import Context
from storage import jobs
from tests.pipeline.conftest import Upload, sql
from transcribe import ModelError

SECRET = "a secret for tests that is long enough"


@pytest.fixture
def earshot(context: Context, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    storage = context.settings.storage
    assert storage.s3_secret_key is not None
    for name, value in {
        "EARSHOT_DATABASE_URL": storage.database_url,
        "EARSHOT_BROKER_URL": context.settings.pipeline.broker_url,
        "EARSHOT_S3_ENDPOINT_URL": storage.s3_endpoint_url,
        "EARSHOT_S3_BUCKET": storage.s3_bucket,
        "AWS_ACCESS_KEY_ID": storage.s3_access_key,
        "AWS_SECRET_ACCESS_KEY": storage.s3_secret_key.get_secret_value(),
        "EARSHOT_MODEL": "micro",
        "EARSHOT_ALLOW_MICRO": "true",
        "EARSHOT_JWT_SECRET": SECRET,
        "EARSHOT_JAIL": "weak",
    }.items():
        monkeypatch.setenv(name, value or "")
    return CliRunner()


def test_doctor_names_every_part(earshot: CliRunner) -> None:
    result = earshot.invoke(app, ["doctor"])
    assert result.exit_code == 0, result.output
    for part in ("Postgres", "S3", "broker", "jail", "model"):
        assert part in result.output


def test_doctor_says_what_is_wrong(earshot: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    result = earshot.invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "EARSHOT_DATABASE_URL" in result.output


def test_doctor_says_that_production_does_not_start_on_the_demo_model(
    earshot: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_ALLOW_MICRO", "false")
    result = earshot.invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "EARSHOT_ALLOW_MICRO" in result.output


@pytest.mark.parametrize(
    ("model", "code"),
    [("enormous", "unknown_model"), ("base", "hub_unreachable"), ("/no/such/folder", "model_missing")],
)
@pytest.mark.parametrize("command", ["up", "demo"])
def test_the_local_stack_does_not_start_without_the_model_that_is_named(
    earshot: CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str, model: str, code: str
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    result = earshot.invoke(app, [command, "--data-dir", str(tmp_path / "data"), "--port", "0", "--model", model])
    assert isinstance(result.exception, ModelError)
    assert result.exception.code == code
    assert not (tmp_path / "data").exists()


def test_the_last_line_of_token_is_one_that_the_api_believes(earshot: CliRunner) -> None:
    result = earshot.invoke(app, ["token", "--user", "alice", "--scope", "admin service"])
    claims = jwt.decode(result.output.splitlines()[-1], SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["scope"]) == ("alice", "admin service")


def test_without_a_secret_token_says_where_one_comes_from(
    earshot: CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("EARSHOT_JWT_SECRET")
    result = earshot.invoke(app, ["token", "--user", "alice", "--data-dir", str(tmp_path)])
    assert isinstance(result.exception, UserError)
    assert "--data-dir" in str(result.exception)


def test_an_operator_is_led_to_the_stack_that_runs_from_a_folder(
    earshot: CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there, nowhere = tmp_path / "there", tmp_path / "nowhere"
    there.mkdir()
    settings = {"EARSHOT_DATABASE_URL": os.environ["EARSHOT_DATABASE_URL"]}
    (there / "stack.json").write_text(json.dumps({"settings": settings}))
    monkeypatch.delenv("EARSHOT_DATABASE_URL")
    assert isinstance(earshot.invoke(app, ["jobs", "list", "--data-dir", str(nowhere)]).exception, ValidationError)
    assert earshot.invoke(app, ["jobs", "list", "--data-dir", str(there)]).exit_code == 0


def test_what_the_environment_names_is_used_before_any_folder(earshot: CliRunner, tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text(json.dumps({"settings": {"EARSHOT_DATABASE_URL": "postgresql://elsewhere"}}))
    assert earshot.invoke(app, ["jobs", "list", "--data-dir", str(tmp_path)]).exit_code == 0


def test_a_dead_job_is_listed_and_revived(earshot: CliRunner, context: Context, upload: Upload) -> None:
    upload("late.ogg")
    sql(context, "UPDATE jobs SET attempts = :n", n=jobs.MAX_FAILURES - 1)
    with context.database.transaction() as connection:
        [job] = jobs.claim(connection, "media", lane=None, limit=1, lease_s=3, worker="w")
    failures.settle(context, job, RuntimeError("a bug"))
    [listed] = earshot.invoke(app, ["jobs", "list", "--state", "dead"]).output.splitlines()
    assert (json.loads(listed)["id"], json.loads(listed)["reason"]) == (job.id, "RuntimeError: a bug")
    result = earshot.invoke(app, ["jobs", "retry", job.id])
    assert result.exit_code == 0, result.output
    assert [row.state for row in sql(context, "SELECT state FROM voices")] == ["received"]
    assert [row.state for row in sql(context, "SELECT state FROM jobs")] == ["queued"]
    assert earshot.invoke(app, ["jobs", "retry", job.id]).exit_code == 1


def test_sweep_reports(earshot: CliRunner, upload: Upload) -> None:
    upload("late.ogg")
    result = earshot.invoke(app, ["sweep", "--dry-run"])
    assert result.exit_code == 0, result.output
    assert "1 objects, 0 of them unknown" in result.output


def test_models_lists_the_bundled_one(earshot: CliRunner) -> None:
    result = earshot.invoke(app, ["models", "list"])
    assert result.exit_code == 0, result.output
    assert "micro" in result.output
