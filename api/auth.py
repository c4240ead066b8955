"""Who calls: a Bearer JWT names the user, its scopes what else they may do."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Annotated, Any

import jwt
from fastapi import Depends, Header, Request, Security
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from jwt.exceptions import PyJWKClientConnectionError, PyJWTError

from api.errors import Problem
from api.settings import ApiSettings
from ingest.names import MAX_USER

_BEARER = HTTPBearer(
    auto_error=False, bearerFormat="JWT", description="`sub` is the user, `scope` what else is allowed"
)
_FETCH_TIMEOUT_S = 5
_NEVER = 1e12


@dataclass(frozen=True)
class Caller:
    subject: str
    scopes: frozenset[str]
    acts_for: str | None
    # Unix time; what lasts longer than a request ends with its token.
    expires_at: float

    @property
    def is_service(self) -> bool:
        return "service" in self.scopes

    @property
    def is_admin(self) -> bool:
        return "admin" in self.scopes

    @property
    def user(self) -> str:
        """Whose threads the call is about."""
        if not self.is_service:
            return self.subject
        if self.acts_for is None:
            raise Problem("invalid_request", "name the user you act for in the header Earshot-User", status=400)
        return self.acts_for


class Verifier:
    """Believes tokens of one issuer; the settings fix the algorithms, never the token."""

    def __init__(self, settings: ApiSettings) -> None:
        self._options: dict[str, Any] = {
            "audience": settings.jwt_audience,
            "issuer": settings.jwt_issuer,
            # A token from a clock ahead of ours is no threat; one that is not valid yet (nbf) still is refused.
            "options": {"require": ["exp", "sub"], "verify_iat": False},
        }
        self._decode: Callable[[str], dict[str, Any]]
        self.blocks = settings.jwt_secret is None
        if settings.jwt_secret is not None:
            secret = settings.jwt_secret.get_secret_value()
            self._decode = partial(self._with_key, key=secret, algorithms=["HS256"])
        else:
            self._keys = jwt.PyJWKClient(str(settings.jwks_url), timeout=_FETCH_TIMEOUT_S)
            self._decode = self._with_key_set

        # Who sends one request sends more. A key that the issuer takes back is believed for this minute.
        self._known = lru_cache(maxsize=4096)(lambda token, minute: self._decode(token))

    def claims(self, token: str) -> dict[str, Any]:
        """Raises Problem; fetches the issuer's keys when they are needed and `blocks`."""
        now = time.time()
        try:
            known: dict[str, Any] = self._known(token, now // 60)
            return known if now < int(known["exp"]) else self._decode(token)
        except PyJWKClientConnectionError as error:
            raise Problem("auth_unavailable", "the keys that tokens are checked with can't be fetched") from error
        except (PyJWTError, ValueError, OverflowError, RecursionError) as error:
            raise unauthorized(f"the token is not valid: {error}") from error

    def _with_key_set(self, token: str) -> dict[str, Any]:
        # The key itself fixes its kind of algorithm, so an RSA key never meets an ES256 signature.
        key = self._keys.get_signing_key_from_jwt(token)
        return self._with_key(token, key=key, algorithms=["RS256", "ES256", "EdDSA"])

    def _with_key(self, token: str, *, key: Any, algorithms: list[str]) -> dict[str, Any]:
        return jwt.decode(token, key, algorithms, **self._options)


async def caller(
    request: Request,
    _credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
    _earshot_user: Annotated[
        str | None,
        Header(alias="Earshot-User", description="the user that the `service` scope acts for", max_length=MAX_USER * 4),
    ] = None,
) -> Caller:
    """Written down for the document; what it says is what `identified` reads."""
    return await identified(request)


async def identified(request: Request) -> Caller:
    """Who sends this request; raises Problem."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise unauthorized("send the header Authorization: Bearer <token>")
    verifier: Verifier = request.app.state.services.verifier
    claims = await run_in_threadpool(verifier.claims, token) if verifier.blocks else verifier.claims(token)
    return _caller(claims, request.headers.get("earshot-user"))


async def acting_user(caller: Annotated[Caller, Depends(caller)]) -> str:
    return caller.user


async def admin(caller: Annotated[Caller, Depends(caller)]) -> Caller:
    if not caller.is_admin:
        raise Problem("forbidden", "this needs a token with the scope admin")
    return caller


AnyCaller = Annotated[Caller, Depends(caller)]
ActingUser = Annotated[str, Depends(acting_user)]
Admin = Annotated[Caller, Depends(admin)]


def is_user_id(text: str) -> bool:
    """1 to 128 printable characters."""
    return 0 < len(text) <= MAX_USER and text.isprintable()


def unauthorized(detail: str) -> Problem:
    return Problem("unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})


def _caller(claims: dict[str, Any], earshot_user: str | None) -> Caller:
    subject, scope = claims["sub"], claims.get("scope", "")
    if not isinstance(subject, str) or not is_user_id(subject):
        raise unauthorized(f"the token's sub must be 1 to {MAX_USER} printable characters")
    if not isinstance(scope, str):
        raise unauthorized("the token's scope must be a string")
    # The library also takes what can be read as a number, and numbers that no clock reaches.
    if not isinstance(claims["exp"], int | float):
        raise unauthorized("the token's exp must be a number of seconds")
    scopes, expires_at = frozenset(scope.split()), float(min(claims["exp"], _NEVER))
    if earshot_user is None:
        return Caller(subject, scopes, None, expires_at)
    if "service" not in scopes:
        raise Problem("forbidden", "only a token with the scope service may send Earshot-User")
    return Caller(subject, scopes, _header_text(earshot_user), expires_at)


def _header_text(value: str) -> str:
    """Header bytes reach us as Latin-1; ids are UTF-8."""
    try:
        user = value.encode("latin-1").decode()
    except UnicodeError as error:
        raise Problem("invalid_request", "Earshot-User is not UTF-8", status=400) from error
    if not is_user_id(user):
        raise Problem("invalid_request", f"Earshot-User must be 1 to {MAX_USER} printable characters", status=400)
    return user
