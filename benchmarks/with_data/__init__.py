# SPDX-License-Identifier: Apache-2.0
"""Measurements that need data sets, each run by its own name."""
