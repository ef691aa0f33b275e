# SPDX-License-Identifier: Apache-2.0
"""Where in the store the files of studies and jobs are."""

from uuid import UUID

from hilum.dicom.uids import as_name


def studies_of(tenant_id: UUID) -> str:
    """Return the folder of a hospital's studies: one below it for each UID, in that one for each upload."""
    return f"{tenant_id}/studies"


def study_folder(tenant_id: UUID, study_uid: str, study_id: UUID) -> str:
    """Return the folder of the files of one upload."""
    return f"{studies_of(tenant_id)}/{as_name(study_uid)}/{study_id}"


def job_folder(tenant_id: UUID, job_id: UUID) -> str:
    """Return the folder of what a job writes, one below it for each attempt."""
    return f"{tenant_id}/jobs/{job_id}"
