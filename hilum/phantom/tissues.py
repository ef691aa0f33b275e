# SPDX-License-Identifier: Apache-2.0
"""The densities of tissues in Hounsfield units at 120 kV, as radiology textbooks give them."""

from typing import Final

AIR_HU: Final = -1000.0
GAS_HU: Final = -960.0
FAT_HU: Final = -98.0
MIXED_FAT_HU: Final = -78.0
SKIN_HU: Final = 10.0
MUSCLE_HU: Final = 48.0
MARROW_HU: Final = 190.0
CORTEX_HU: Final = 640.0
CARTILAGE_HU: Final = 110.0
DISC_HU: Final = 85.0
CANAL_HU: Final = 20.0
HEART_HU: Final = 42.0
BLOOD_HU: Final = 62.0
VESSEL_HU: Final = 45.0
LIVER_HU: Final = 58.0
SPLEEN_HU: Final = 50.0
STOMACH_HU: Final = 25.0
BOWEL_HU: Final = 40.0
FLUID_HU: Final = 12.0
TABLE_HU: Final = -150.0
