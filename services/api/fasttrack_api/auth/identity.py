"""Tokens of an outside identity provider: verified with the keys that it publishes, and read as settings say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from fasttrack.domain.access import Role
from fasttrack.errors import Unauthenticated
from fasttrack.settings import Settings
from fasttrack.workflow.identities import Identity

from .keys import PublishedKeys

_LONGEST_TEXT = 200
_MOST_ROLES = 1000
_REFUSED = "the identity provider's token is not valid here"


class IdentityProvider:
    """The one provider that settings name."""

    def __init__(self, settings: Settings, keys: PublishedKeys) -> None:
        assert settings.identity_issuer is not None
        self.keys = keys
        self._settings = settings
        self._issuer = settings.identity_issuer
        self._algorithms = frozenset(settings.identity_algorithms.split())

    @classmethod
    def of(cls, settings: Settings) -> IdentityProvider | None:
        """The provider, if there is one."""
        issuer = settings.identity_issuer
        return None if issuer is None else cls(settings, PublishedKeys(issuer))

    async def verify(self, text: str) -> Identity:
        """Who a token says its bearer is, once it is proved that the provider says so, to us, and now.

        :raises Unauthenticated: it is not, and why.
        :raises Unavailable: the provider's keys are not known and cannot be asked for.
        """
        try:
            header = jwt.get_unverified_header(text)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise Unauthenticated(_REFUSED) from None
        algorithm, kid = header.get("alg"), header.get("kid")
        # The header is the bearer's own word: it may choose among the keys that the provider publishes, nothing else.
        if (
            not isinstance(algorithm, str)
            or algorithm not in self._algorithms
            or "crit" in header
            or not isinstance(kid, str | None)
        ):
            raise Unauthenticated(f"{_REFUSED}: it is signed in a way that is not taken")
        key = await self.keys.find(kid, algorithm)
        try:
            claims = jwt.decode(
                text,
                key,
                algorithms=[algorithm],
                audience=self._settings.identity_audience,
                issuer=self._issuer,
                leeway=self._settings.identity_leeway,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
            return self._identity(claims)
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("the token has expired; sign in again") from None
        except jwt.InvalidAudienceError:
            raise Unauthenticated(f"{_REFUSED}: it was made for another audience") from None
        except jwt.InvalidIssuerError:
            raise Unauthenticated(f"{_REFUSED}: it is of another issuer") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            raise Unauthenticated(_REFUSED) from None

    def _identity(self, claims: dict[str, Any]) -> Identity:
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_TEXT:
            raise ValueError("sub")
        grants = self._grants(_inside(claims, self._settings.identity_roles_claim))
        email = _text(claims.get(self._settings.identity_email_claim))
        return Identity(
            issuer=self._issuer,
            subject=subject,
            name=_text(claims.get(self._settings.identity_name_claim)) or email or subject,
            email=email,
            display_name=_text(claims.get("name")),
            expires_at=datetime.fromtimestamp(0, UTC) + timedelta(seconds=int(claims["exp"])),
            roles=tuple((project, Role(role)) for project, _, role in (g.rpartition(":") for g in grants) if project),
            is_superadmin="superadmin" in grants,
        )

    def _grants(self, theirs: object) -> list[str]:
        names = theirs.split() if isinstance(theirs, str) else theirs if isinstance(theirs, list) else []
        mapped = self._settings.identity_roles
        found = (mapped.get(name, "") for name in names[:_MOST_ROLES] if isinstance(name, str))
        return [grant for grants in found for grant in grants.split()]


def _inside(claims: dict[str, Any], path: str) -> object:
    """The value of a claim; a name with dots in it leads inside, if there is no claim of the whole name."""
    if path in claims:
        return claims[path]
    value: object = claims
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        return ""
    shown = "".join(c for c in value if c.isprintable())
    return shown.encode("utf-8", "ignore").decode().strip()[:_LONGEST_TEXT]
