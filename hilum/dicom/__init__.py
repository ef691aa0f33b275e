# SPDX-License-Identifier: Apache-2.0
"""DICOM in: reading studies, choosing a series, building one grid."""
