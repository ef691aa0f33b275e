# SPDX-License-Identifier: Apache-2.0
"""Evaluation: how well a network does on slices it has not seen."""
