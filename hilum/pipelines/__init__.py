# SPDX-License-Identifier: Apache-2.0
"""Pipelines know volumes and medicine: study in, report out."""
