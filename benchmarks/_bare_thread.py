"""The other side: a FastAPI endpoint with one query for the rows of a page and nothing else, neither auth nor URLs."""

import os
import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from sqlalchemy import create_engine, text

app = FastAPI()
engine = create_engine(os.environ["EARSHOT_DATABASE_URL"], pool_size=20)
_PAGE = text(
    "SELECT m.id, m.thread_id, m.sender_id, m.kind, m.created_at, m.external_id, m.text, v.state, v.error_code,"
    " v.error_message, v.duration_ms, encode(v.waveform, 'base64') AS waveform, v.loudness_lufs, v.renditions,"
    " v.corrected_text, t.id AS transcript_id, t.state AS transcript_state, t.version, t.language,"
    " t.language_probability, t.text AS transcript_text, t.model"
    " FROM messages m LEFT JOIN voices v ON v.message_id = m.id LEFT JOIN transcripts t ON t.id = v.transcript_id"
    " WHERE m.thread_id = :thread AND m.deleted_at IS NULL ORDER BY m.seq DESC LIMIT :limit"
)


@app.get("/healthz")
def healthz() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/threads/{thread}/messages")
def page(thread: str, limit: int = 50) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(_PAGE, {"thread": thread, "limit": limit})]


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
