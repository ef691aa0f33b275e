# SPDX-License-Identifier: Apache-2.0
"""The steps from an empty database to today's schema, oldest first."""
