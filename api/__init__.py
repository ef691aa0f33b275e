# SPDX-License-Identifier: Apache-2.0
"""The people's door: a Flask API."""
