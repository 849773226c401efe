"""Settings that every part shares: `FASTTRACK_*` variables over a settings file over the defaults below.

Each has a default that is right on one machine. A bad value stops the process with one sentence that names it.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)


def default_state_dir() -> Path:
    """`$XDG_STATE_HOME/fasttrack`, or `~/.local/state/fasttrack`."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "fasttrack"


def _asyncpg(url: SecretStr | None) -> SecretStr | None:
    """The address with the driver named: SQLAlchemy's own default driver is another one."""
    if url is None:
        return None
    scheme, _, rest = url.get_secret_value().partition("://")
    if scheme not in ("postgresql", "postgres", "postgresql+asyncpg"):
        raise ValueError("must be a PostgreSQL address such as postgresql://user@host/database")
    return SecretStr(f"postgresql+asyncpg://{rest}")


def _issuer(url: str | None) -> str | None:
    """An address that nobody can listen in on, or one of this machine."""
    if url is None or re.fullmatch(
        r"https://[^\s/?#@]+(/[^\s?#]*)?|http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?(/\S*)?", url
    ):
        return url
    raise ValueError("must be an https:// address, without a question mark and without a password in it")


def _manager(url: str | None) -> str | None:
    if url is None or re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#@]*)?", url):
        return None if url is None else url.rstrip("/")
    raise ValueError("must be an address such as https://manager.example.com, without a password in it")


def _role_grants(roles: dict[str, str]) -> dict[str, str]:
    for name, grants in roles.items():
        for grant in grants.split():
            if grant != "superadmin" and not re.fullmatch(r"\S+:(viewer|editor|operator|admin)", grant):
                raise ValueError(
                    f"{name!r} must have values such as `PROJECT:editor` or `superadmin`, with spaces between several"
                )
    return roles


def _seconds(value: object) -> object:
    """A number as a variable gives it, which is text; anything else is left to be read as ISO 8601."""
    if isinstance(value, str):
        with suppress(ValueError):
            return float(value)
    return value


Seconds = Annotated[timedelta, BeforeValidator(_seconds), Field(ge=timedelta(0))]

FOREVER = "forever"
MOST_DAYS = 36500


def as_days(value: object) -> int | Literal["forever"]:
    """A number of days, or `forever`. :raises ValueError: it is neither; 0 could mean both, and is refused."""
    if value == FOREVER:
        return "forever"
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 5:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_DAYS:
        raise ValueError(f"must be a whole number of days from 1 to {MOST_DAYS}, or {FOREVER}")
    return value


Days = Annotated[int | Literal["forever"], BeforeValidator(as_days)]


class Settings(BaseSettings):
    """The settings of one process. Durations are seconds (`5`, `0.5`) or ISO 8601 (`PT5S`)."""

    model_config = SettingsConfigDict(env_prefix="FASTTRACK_", extra="ignore", frozen=True)

    state_dir: Path = Field(default_factory=default_state_dir)
    """Where the embedded servers, the local backend and the key of the secrets keep their files."""
    database_url: Annotated[SecretStr | None, AfterValidator(_asyncpg)] = None
    """PostgreSQL; unset starts the embedded one in the state directory."""
    redis_url: SecretStr | None = None
    """Redis or Valkey; unset starts the embedded one."""
    database_pool_size: int = Field(default=8, ge=2, le=200)
    """Connections one process may hold."""
    project: str = Field(default="default", min_length=1, max_length=64)
    """The project that commands work in."""
    secret_key: SecretStr | None = None
    """32 bytes, base64, that encrypt stored secrets; unset keeps a key file in the state directory."""

    backend: str = "local"
    """Which session backend runs tasks."""
    local_slots: dict[str, str] = Field(default_factory=dict)
    """Capacity of the local backend, such as `{"cpu": "8", "mem": "32g", "cuda.device": "2"}`; unset is found."""
    local_sandbox: str = Field(default="auto", pattern="^(auto|always|never)$")
    """Whether local tasks get their folders at /pipeline by user namespaces: `auto` falls back and says so."""
    local_folders_dir: Path | None = None
    """Where the local backend looks for the folders that tasks mount; unset is `folders` in the state directory."""

    backend_ai_endpoint: Annotated[str | None, AfterValidator(_manager)] = None
    """Where the Backend.AI manager is, such as `https://manager.example.com`; needed by the backend `backend_ai`."""
    backend_ai_access_key: str | None = Field(default=None, min_length=1, max_length=100)
    """The access key that sessions and folders are made with."""
    backend_ai_secret_key: SecretStr | None = None
    """The secret key that belongs to it."""
    backend_ai_domain: str = Field(default="default", min_length=1, max_length=64)
    """The domain of the projects that tasks name."""
    backend_ai_folder_host: str | None = Field(default=None, pattern=r"^[\w.-]+:[\w.-]+$")
    """Where the folders of pipelines are made, such as `local:volume1`; unset is where the manager makes them."""
    backend_ai_architecture: str = Field(default="x86_64", pattern=r"^[\w-]{1,32}$")
    """The processor that images are made for."""
    backend_ai_agent_patience: Annotated[Seconds, Field(ge=timedelta(seconds=1))] = timedelta(minutes=2)
    """How long an agent may be lost before the sessions on it are given up."""

    reconcile_interval: Seconds = timedelta(seconds=1)
    """How often due jobs are looked for in the database (the backstop of a lost wake-up)."""
    safety_interval: Seconds = timedelta(seconds=30)
    """A job that is not over is looked at again after this long at the latest."""
    observe_interval: Seconds = timedelta(seconds=2)
    """How often the backend is asked for the truth about open sessions."""
    capacity_interval: Annotated[Seconds, Field(ge=timedelta(seconds=0.05))] = timedelta(seconds=15)
    """How often the session backend is asked what it has in all."""
    folder_interval: Annotated[Seconds, Field(ge=timedelta(seconds=0.05))] = timedelta(minutes=3)
    """How often it is looked whether the folders of pipelines are still on the cluster."""
    sweep_interval: Seconds = timedelta(seconds=30)
    """How often orphaned sessions are looked for."""
    settle_after: Annotated[Seconds, Field(ge=timedelta(seconds=0.1))] = timedelta(seconds=5)
    """A session whose creation was not answered for is looked up by its name after this long."""
    lost_after: Seconds = timedelta(seconds=60)
    """A session that cannot be found for this long is taken for lost."""
    terminate_grace: Seconds = timedelta(seconds=10)
    """How long a command may take to end on its own when it is stopped."""
    infrastructure_retries: int = Field(default=4, ge=0, le=100)
    """New attempts after a lost session or a failing backend, apart from the task's own `retry`: after 2, 8, 32, 128 s …"""
    preemption_retries: int = Field(default=10, ge=0, le=1000)
    """New attempts after the backend took the resources away, apart from the other budgets."""
    quota_retries: int = Field(default=5, ge=0, le=100)
    """New attempts after a limit of the project or the user was met; the first after a minute, then twice as long."""
    priority_ageing: Annotated[Seconds, Field(gt=timedelta(0))] = timedelta(minutes=10)
    """How much waiting a point of priority is worth; nobody is overtaken for longer than the difference in points."""
    pass_limit: int = Field(default=64, ge=1, le=1000)
    """Jobs in one reconcile pass."""
    create_concurrency: int = Field(default=100, ge=1, le=1000)
    """Sessions created or ended at the same time by one scheduler."""

    retention_events_days: Days = 90
    """Days after a job's end that its events are kept, or `forever`; a project may have its own figure."""
    retention_logs_days: Days = 30
    """Days after a job's end that what its tasks printed is kept, or `forever`."""
    retention_outputs_days: Days = 30
    """Days after a job's end that the outputs of its tasks are kept, or `forever`."""
    retention_jobs_days: Days = Field(default=365, validate_default=True)
    """Days after its end that a job is kept, or `forever`; at least as long as what belongs to it."""
    prune_interval: Annotated[Seconds, Field(ge=timedelta(seconds=1))] = timedelta(minutes=10)
    """How often what is kept long enough is looked for and removed."""

    api_open_on_loopback: bool | None = None
    """Whether callers of this machine need no token and are its owner; unset: only with the embedded database."""
    api_wrong_tokens: int = Field(default=20, ge=1, le=100_000)
    """Wrong tokens that may come from one address within a minute before further ones are not looked at."""
    api_requests_per_minute: int = Field(default=6000, ge=0, le=10_000_000)
    """Requests and socket operations of one account in a minute, over all processes; 0 is any number."""
    api_anonymous_requests_per_minute: int = Field(default=600, ge=0, le=10_000_000)
    """Requests without a token from one address in a minute, over all processes; 0 is any number."""

    identity_issuer: Annotated[str | None, AfterValidator(_issuer)] = None
    """The identity provider whose tokens are taken, such as `https://login.example.com/realms/ml`; unset is none."""
    identity_audience: str | None = None
    """For whom the provider's tokens must be made; needed with an issuer."""
    identity_algorithms: str = Field(
        default="RS256 ES256 EdDSA", pattern=r"^(([RPE]S(256|384|512)|EdDSA)( |$))+$", max_length=100
    )
    """How the provider's tokens may be signed; algorithms with a shared secret are never taken."""
    identity_leeway: Annotated[Seconds, Field(le=timedelta(minutes=5))] = timedelta(seconds=30)
    """How far the provider's clock and this one may be apart."""
    identity_name_claim: str = Field(default="preferred_username", min_length=1, max_length=100)
    """The claim that names a new account."""
    identity_email_claim: str = Field(default="email", min_length=1, max_length=100)
    """The claim with the email address."""
    identity_roles_claim: str = Field(default="groups", min_length=1, max_length=100)
    """The claim with the roles or groups at the provider; dots lead inside, such as `realm_access.roles`."""
    identity_roles: Annotated[dict[str, str], AfterValidator(_role_grants)] = Field(default_factory=dict)
    """What they are here, such as `{"ml-team": "vision:editor speech:viewer", "it": "superadmin"}`."""

    api_host: str = Field(default="127.0.0.1", min_length=1, max_length=255)
    """Where the API listens; on anything but loopback every caller needs a token."""
    api_port: int = Field(default=8811, ge=0, le=65535)
    """The port of the API; 0 takes a free one."""
    api_hosts: list[str] = Field(default_factory=list)
    """Names the API is called by besides loopback's and its own, such as `["fasttrack.example.com"]`."""
    api_cors_origins: list[str] = Field(default_factory=list)
    """Origins whose pages may call the API, such as `["https://portal.example.com"]`; empty is none but its own."""
    api_trusted_proxies: list[str] = Field(default_factory=list)
    """Addresses whose `X-Forwarded-For` is believed, such as `["10.0.0.5"]`; empty is none."""
    api_body_limit: int = Field(default=1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    """Bytes that the body of a request may have, to REST and GraphQL alike."""
    api_request_timeout: Annotated[Seconds, Field(gt=timedelta(0))] = timedelta(seconds=20)
    """How long a client may take to send the head of a request, and then its body."""
    api_docs: bool = True
    """Whether the API describes itself to whoever asks: `/docs`, `/graphql/ui` and `/api/v1/openapi.json`."""
    api_metrics_token: SecretStr | None = None
    """Who asks for /metrics from elsewhere than loopback sends it as a bearer token; unset is loopback only."""

    upload_file_limit: int = Field(default=16 * 1024**3, ge=1024, le=2**50)
    """Bytes that one uploaded file may have."""
    upload_limit: int = Field(default=100, ge=1, le=100_000)
    """Uploads into one pipeline that may be unfinished at a time."""
    upload_expiry: Annotated[Seconds, Field(ge=timedelta(seconds=1))] = timedelta(days=1)
    """An unfinished upload of which nothing came for this long is dropped."""
    archive_byte_limit: int = Field(default=16 * 1024**3, ge=1024, le=2**50)
    """Bytes of files that are taken into one archive of a folder."""
    archive_file_limit: int = Field(default=100_000, ge=1, le=10_000_000)
    """Files that are taken into one archive of a folder."""

    stream_bookmark_interval: Annotated[Seconds, Field(ge=timedelta(seconds=0.05))] = timedelta(seconds=15)
    """A stream that is quiet tells its cursor this often."""
    stream_access_interval: Annotated[Seconds, Field(ge=timedelta(seconds=0.05), le=timedelta(seconds=4))] = timedelta(
        seconds=2
    )
    """How often it is looked whether those who follow a stream still may; what is revoked ends within five seconds."""
    stream_send_timeout: Annotated[Seconds, Field(ge=timedelta(seconds=0.1))] = timedelta(seconds=30)
    """A client that takes nothing for this long is let go; it may come back with its cursor."""
    stream_buffer_bytes: int = Field(default=2**20, ge=1024, le=2**26)
    """What is kept in memory for a client that falls behind; beyond it, it is served from the database."""
    stream_buffer_events: int = Field(default=2000, ge=1, le=100_000)
    """Events that are kept in memory for a client that falls behind."""
    stream_gather_interval: Annotated[Seconds, Field(ge=timedelta(seconds=0.02))] = timedelta(milliseconds=200)
    """Progress of a job is told at most this often, however fast its tasks change."""
    stream_limit: int = Field(default=5000, ge=1, le=1_000_000)
    """Streams that one process serves at the same time."""
    stream_limit_per_token: int = Field(default=200, ge=1, le=1_000_000)
    """Streams that one token, or one person without a token, may hold open in one process."""
    socket_init_timeout: Annotated[Seconds, Field(ge=timedelta(seconds=0.1))] = timedelta(seconds=10)
    """A GraphQL socket that does not say who it is within this time is closed."""
    socket_limit_per_token: int = Field(default=20, ge=1, le=1_000_000)
    """GraphQL sockets that one token, or one person without a token, may hold open in one process."""
    socket_subscriptions: int = Field(default=100, ge=1, le=100_000)
    """Operations that one GraphQL socket may have open."""
    socket_message_bytes: int = Field(default=1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    """The most bytes of one message over a GraphQL socket."""
    socket_messages_per_second: int = Field(default=100, ge=1, le=100_000)
    """Messages that a client may send over one GraphQL socket, on average over five seconds."""

    api_query_tokens: int = Field(default=2000, ge=100, le=100_000)
    """The most words and signs of one GraphQL document."""
    api_query_depth: int = Field(default=12, ge=3, le=50)
    """How deep the fields of one GraphQL operation may be nested."""
    api_query_aliases: int = Field(default=30, ge=0, le=1000)
    """The most aliases of one GraphQL operation."""
    api_query_roots: int = Field(default=20, ge=1, le=200)
    """The most fields at the top of one GraphQL operation."""
    api_query_cost: int = Field(default=10_000, ge=100, le=1_000_000)
    """The most objects one GraphQL operation may ask for, counted with their weights."""
    api_query_seconds: Annotated[Seconds, Field(ge=timedelta(seconds=0.1))] = timedelta(seconds=10)
    """The longest one GraphQL query or mutation may take as a whole."""
    api_page_size: int = Field(default=100, ge=10, le=1000)
    """The most items of one page."""
    api_introspection: Literal["everybody", "members", "superadmins", "nobody"] = "everybody"
    """Whom GraphQL describes its schema to: every caller, members of some project, superadmins, or nobody."""

    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    """From which level on lines are logged."""
    log_format: str = Field(default="auto", pattern="^(auto|json|text)$")
    """One JSON object per line, or text; `auto` is text on a terminal."""

    @field_validator("retention_jobs_days")
    @classmethod
    def _outlive_what_belongs_to_them(
        cls, jobs: int | Literal["forever"], info: ValidationInfo
    ) -> int | Literal["forever"]:
        for name in ("retention_events_days", "retention_logs_days", "retention_outputs_days"):
            days = info.data.get(name, 1)
            if jobs != FOREVER and (days == FOREVER or days > jobs):
                raise ValueError(
                    f"must be at least FASTTRACK_{name.upper()}, which is {days}, since a job outlives what belongs to "
                    f"it, and is {jobs}; raise it, or lower the other"
                )
        return jobs

    @model_validator(mode="after")
    def _provider_has_audience(self) -> Self:
        if self.identity_issuer is not None and not self.identity_audience:
            raise ValueError(
                "FASTTRACK_IDENTITY_ISSUER needs FASTTRACK_IDENTITY_AUDIENCE: without it, a token that the provider made "
                "for some other service would be taken here"
            )
        return self

    @model_validator(mode="after")
    def _cluster_is_named(self) -> Self:
        if self.backend == "backend_ai":
            for name in ("backend_ai_endpoint", "backend_ai_access_key", "backend_ai_secret_key"):
                if getattr(self, name) is None:
                    raise ValueError(f"FASTTRACK_BACKEND=backend_ai needs FASTTRACK_{name.upper()}")
        return self

    @property
    def is_open_on_loopback(self) -> bool:
        """Whether callers of this machine need no token."""
        return self.is_embedded if self.api_open_on_loopback is None else self.api_open_on_loopback

    @property
    def is_embedded(self) -> bool:
        """Whether the database is the one in the state directory."""
        return self.database_url is None

    @property
    def starts_services(self) -> bool:
        """Whether tasks that start a model service can run on the session backend."""
        return self.backend == "backend_ai"

    @property
    def folders_dir(self) -> Path:
        """Where the local backend's mountable folders are."""
        return self.local_folders_dir or self.state_dir / "folders"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Where values come from, the first that has one: arguments, the environment, the settings file."""
        file = Path(os.environ.get("FASTTRACK_SETTINGS_FILE") or default_settings_file())
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=file)


def default_settings_file() -> Path:
    """`$XDG_CONFIG_HOME/fasttrack/settings.toml`, or `~/.config/fasttrack/settings.toml`; it need not exist."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "fasttrack" / "settings.toml"
