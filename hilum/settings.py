# SPDX-License-Identifier: Apache-2.0
"""Every setting, read from the environment once by an entry point and passed on from there."""

from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from hilum.addresses import parse_networks
from hilum.errors import MissingSetting

MIB = 1024 * 1024


class Settings(BaseSettings):
    """One frozen object; each field is read from `HILUM_` and its name in capitals.

    The four without a default are where the system keeps its memory, which a guess would lose,
    and a secret, which a guess would give away.
    """

    model_config = SettingsConfigDict(env_prefix="HILUM_", frozen=True, extra="ignore")

    database_url: str = Field(description="PostgreSQL, as `postgresql+psycopg://user@host/name`.")
    redis_url: str = Field(description="Redis or Valkey, as `redis://host:6379/0`.")
    storage_url: str = Field(description="Where studies and masks live: `file:///path` or `s3://`.")
    secret_key: str = Field(
        min_length=32,
        repr=False,
        description="Signs the forms of the pages; random, 32 characters or more.",
    )

    spool_dir: Path = Field(
        default=Path("/tmp/hilum-spool"),  # noqa: S108 - a default for one machine; made 0700
        description="Local folder where uploads are unpacked and remote studies are fetched to.",
    )
    network: str = Field(default="resnet50", description="Network where a request names none.")
    weights: str = Field(
        default="",
        description="Folder of your own networks, the same for web servers and workers.",
    )
    device: str = Field(default="auto", description="`auto`, `cpu` or `cuda`.")
    threads: int = Field(default=0, ge=0, description="CPU threads of a worker; 0 takes all cores.")

    max_upload_mb: int = Field(default=4096, gt=0, description="Largest upload, MiB.")
    max_unpacked_mb: int = Field(default=16384, gt=0, description="Largest unpacked study, MiB.")
    max_zip_ratio: int = Field(default=200, gt=1, description="Largest unpacked to packed ratio.")
    max_files: int = Field(default=10000, gt=0, description="Most files in one upload.")
    min_free_mb: int = Field(default=1024, ge=0, description="Disk kept free; below it, 507.")
    upload_keep_h: int = Field(
        default=24,
        gt=0,
        description="A resumable upload is forgotten so many hours after its last byte.",
    )

    study_quiet_s: float = Field(
        default=10.0,
        ge=0,
        description="A study sent by DICOM is complete when no instance came for so long.",
    )
    study_instances: int = Field(
        default=0, ge=0, description="Or when it has so many instances; 0 asks for no number."
    )
    dimse_associations: int = Field(
        default=16, gt=0, description="Most associations at a time; a further one is rejected."
    )
    dimse_certificate: str = Field(
        default="", description="PEM file of the DICOM service's TLS; empty speaks without TLS."
    )
    dimse_private_key: str = Field(default="", description="PEM file of its private key.")
    dimse_authorities: str = Field(
        default="",
        description="PEM file of those who vouch for scanners and archives.",
    )

    couriers: int = Field(
        default=2, gt=0, description="Archives that results are sent to at the same time."
    )

    destination_networks: str = Field(
        default="",
        description="Networks, with commas, in which an admin of one hospital may name archives.",
    )

    lease_s: int = Field(
        default=60, gt=0, description="A running job unheard of for so long is lost."
    )
    max_attempts: int = Field(default=3, gt=0, description="Times a job is tried before it fails.")
    ageing_s: float = Field(
        default=1800,
        ge=0,
        description="A job that waited so long, but an urgent one, gets every fourth turn.",
    )
    stat_share: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="Share of the workers that take urgent jobs alone, rounded down.",
    )
    max_queue_age_s: float = Field(
        default=0,
        ge=0,
        description="Once the oldest job waits longer, only urgent ones are taken; 0 takes all.",
    )
    task_time_limit_s: int = Field(
        default=3600, gt=0, description="A job running longer is stopped."
    )
    visibility_timeout_s: int = Field(
        default=4200,
        gt=0,
        description="Redis hands a message out again after this; above the limit.",
    )
    stall_s: float = Field(
        default=60.0,
        gt=0,
        description="A job due for so long while none is taken and none runs: a stall.",
    )
    streams: int = Field(
        default=32,
        gt=0,
        description="Most event streams of a web server's process; each has a thread of its own.",
    )
    callback_private: bool = Field(
        default=False, description="Allow callbacks and webhooks to private networks."
    )
    idle_min: int = Field(
        default=30, gt=0, description="Minutes of silence after which somebody is signed out."
    )
    time_zone: str = Field(
        default="UTC",
        description="Whose midnight ends a day where cases are counted by day: `Europe/Vienna`.",
    )
    proxies: int = Field(
        default=0,
        ge=0,
        description="Proxies in front of the web server whose word on address and TLS is taken.",
    )
    metrics_token: str = Field(
        default="",
        repr=False,
        description="Whoever asks for metrics shows it; empty lets this machine alone ask.",
    )
    metrics_port: int = Field(
        default=0, ge=0, le=65535, description="Port of a worker's own metrics; 0 opens none."
    )
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR.")

    @field_validator("time_zone")
    @classmethod
    def _check_time_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        # A folder of zones, such as `Europe`, is none.
        except (KeyError, ValueError, OSError) as error:
            raise ValueError("expected a time zone such as Europe/Vienna") from error
        return name

    @field_validator("destination_networks")
    @classmethod
    def _check_networks(cls, text: str) -> str:
        try:
            parse_networks(text)
        except ValueError as error:
            raise ValueError("expected networks such as 10.1.0.0/16, 192.168.7.4") from error
        return text

    @classmethod
    def from_environment(cls, **given: Any) -> Self:
        """Read every setting.

        Args:
            given: fields whose value stands before the environment's.

        Raises:
            MissingSetting: naming the variable that is absent or malformed.
        """
        try:
            return cls(**given)
        except ValidationError as error:
            raise MissingSetting(_explain(error)) from error


def _explain(error: ValidationError) -> str:
    # The value stays out of the sentence: a database URL holds a password.
    problems = (
        f"HILUM_{'_'.join(str(part) for part in problem['loc']).upper()}: {problem['msg']}"
        for problem in error.errors(include_input=False)
    )
    return "; ".join(problems) + ". See .env.example."
