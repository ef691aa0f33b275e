# SPDX-License-Identifier: Apache-2.0
"""Programs that measure speed; each prints one JSON object."""

# Before any program here loads torch: the package says how its threads wait.
import hilum  # noqa: F401 - imported for what importing it sets
