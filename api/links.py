# SPDX-License-Identifier: Apache-2.0
"""Links a person can open: a browser cannot type a bearer key, so the address carries a token.

A token is signed with the installation's secret key, names one tenant and at most one job, allows
reading alone, and ends after an hour. Whoever holds the link can read what it names until then.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

from hilum.errors import UnknownJob, WrongKey

LINK_S: Final = 3600
"""How long a link opens; every answer about a job carries a fresh one."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a caller may see.

    Attributes:
        tenant_id: the rows of this tenant.
        job_id: this job alone; None with an API key.
        by: who calls, as the events of a job have it.
    """

    tenant_id: UUID
    job_id: UUID | None = None
    by: str = "link"

    def check_job(self, job_id: UUID) -> None:
        """Make sure that the caller may see a job.

        Raises:
            UnknownJob: a link to another job was used.
        """
        if self.job_id not in {None, job_id}:
            raise UnknownJob(f"There is no job {job_id}.")

    def check_all_jobs(self) -> None:
        """Make sure that the caller may see every job of the tenant.

        Raises:
            WrongKey: the link is to one job.
        """
        if self.job_id is not None:
            raise WrongKey("This link opens one job, not the list of all.")


class Links:
    """Makes and reads the tokens of links."""

    def __init__(self, secret_key: str) -> None:
        self._signer = URLSafeTimedSerializer(secret_key, salt="hilum.links")

    def token(self, tenant_id: UUID, job_id: UUID | None = None) -> str:
        """Return a token for a job of a tenant, or for the tenant's list of jobs."""
        return str(self._signer.dumps([tenant_id.hex, job_id.hex if job_id else None]))

    def read(self, token: str) -> Access:
        """Return what a token allows.

        Raises:
            WrongKey: it has expired, or was not made here.
        """
        try:
            tenant_id, job_id = self._signer.loads(token, max_age=LINK_S)
        except SignatureExpired as error:
            raise WrongKey(
                f"This link has expired; links open for {LINK_S // 60} minutes."
                " Ask for the job again with the API key and take the link from its answer."
            ) from error
        except BadSignature as error:
            raise WrongKey("This link is not valid.") from error
        return Access(UUID(tenant_id), UUID(job_id) if job_id else None)
