# SPDX-License-Identifier: Apache-2.0
"""DICOM in and out: reading studies, choosing a series, building one grid."""
