# SPDX-License-Identifier: Apache-2.0
"""A synthetic chest CT whose lungs and lesions are known to the voxel.

The demonstration sends it, the tests count millilitres in it, and no patient stands behind it.
"""

from hilum.phantom.chest import Effusion, Lobe
from hilum.phantom.lesions import COVID_LESIONS, Lesion, Place
from hilum.phantom.phantom import Phantom, make_phantom

__all__ = ["COVID_LESIONS", "Effusion", "Lesion", "Lobe", "Phantom", "Place", "make_phantom"]
