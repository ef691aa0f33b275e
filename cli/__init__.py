# SPDX-License-Identifier: Apache-2.0
"""The command, and the whole system on one machine."""
