# SPDX-License-Identifier: Apache-2.0
"""The memory: tables, queries and migrations."""
