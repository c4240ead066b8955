"""The least that any API in this framework could do: read a body, hash it, PUT it. Nobody is asked who they are and
nothing is written down: what it misses of the straight PUT's rate is no upload's to reach."""

import asyncio
import hashlib
import sys

import uvicorn
from fastapi import FastAPI, Request, Response

from storage.ids import new_id
from storage.keys import object_key
from storage.objects import ObjectStore
from storage.settings import StorageSettings

app = FastAPI()
store = ObjectStore(StorageSettings())


@app.get("/readyz")
async def readyz() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/relay", status_code=201)
async def relay(request: Request) -> Response:
    body = await request.body()
    digest = hashlib.sha256(body).hexdigest()
    key = object_key("relayed", new_id("msg"), "original", digest, "wav")
    await asyncio.to_thread(store.put, key, body, size=len(body), content_type="audio/wav", sha256=digest)
    return Response(status_code=201)


if __name__ == "__main__":
    options = {"log_level": "warning", "access_log": False, "workers": int(sys.argv[2])}
    uvicorn.run("benchmarks._bare_upload:app", port=int(sys.argv[1]), **options)  # type: ignore[arg-type]
