# SPDX-License-Identifier: Apache-2.0
"""The GPU's door: Celery tasks that run jobs."""
