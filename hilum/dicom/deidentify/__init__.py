# SPDX-License-Identifier: Apache-2.0
"""Studies without their patients: the confidentiality profile of PS3.15 Annex E, under a key."""

from hilum.dicom.deidentify.account import Account, Change, Deed, together
from hilum.dicom.deidentify.deidentifier import DEFAULT_OPTIONS, Deidentifier
from hilum.dicom.deidentify.files import Export, deidentify_file, deidentify_files
from hilum.dicom.deidentify.policy import POLICY, Policy
from hilum.dicom.deidentify.profile import Option

__all__ = [
    "DEFAULT_OPTIONS",
    "POLICY",
    "Account",
    "Change",
    "Deed",
    "Deidentifier",
    "Export",
    "Option",
    "Policy",
    "deidentify_file",
    "deidentify_files",
    "together",
]
