# SPDX-License-Identifier: Apache-2.0
"""Networks: what knows tensors and nothing of patients."""
