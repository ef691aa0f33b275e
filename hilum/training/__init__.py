# SPDX-License-Identifier: Apache-2.0
"""Training of lesion networks: examples, their variation, the loop, and its recipes."""
