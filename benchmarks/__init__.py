# SPDX-License-Identifier: Apache-2.0
"""Programs that measure speed; each prints one JSON object."""
