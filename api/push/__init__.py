# SPDX-License-Identifier: Apache-2.0
"""From here to the archives of hospitals: C-STORE and STOW-RS, the other way round."""
