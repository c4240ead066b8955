"""Signing tokens for the embedded stack and for deployments that share a secret with us."""

import json
import os
import time
from pathlib import Path

import jwt

from pipeline.commands.errors import UserError


def signing_secret(data_dir: Path) -> str:
    """The environment's secret, or that of the embedded stack in `data_dir`; UserError when there is neither."""
    if secret := os.environ.get("EARSHOT_JWT_SECRET"):
        return secret
    kept = data_dir / "secrets.json"
    try:
        return str(json.loads(kept.read_text())["jwt_secret"])
    except (OSError, ValueError, KeyError):
        raise UserError(
            f"no secret to sign with: set EARSHOT_JWT_SECRET, or name the folder of an embedded stack with --data-dir"
            f" (there is no readable {kept})"
        ) from None


def sign(secret: str, user: str, *, scope: str = "", seconds: float = 43_200) -> str:
    """A JWT (HS256) for this user with the audience and issuer that the environment demands."""
    now = int(time.time())
    claims: dict[str, object] = {"sub": user, "iat": now, "exp": now + int(seconds)}
    if scope:
        claims["scope"] = scope
    for claim, variable in (("aud", "EARSHOT_JWT_AUDIENCE"), ("iss", "EARSHOT_JWT_ISSUER")):
        if value := os.environ.get(variable):
            claims[claim] = value
    return jwt.encode(claims, secret, algorithm="HS256")
