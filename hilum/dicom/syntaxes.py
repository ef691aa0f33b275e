# SPDX-License-Identifier: Apache-2.0
"""The encodings of pixels that can be read here."""

from functools import cache
from typing import Final

from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, AllTransferSyntaxes, JPEGExtended12Bit

BYTE: Final = 8


@cache
def readable_syntaxes() -> tuple[UID, ...]:
    """Return every transfer syntax that a decoder is installed for."""
    return tuple(uid for uid in AllTransferSyntaxes if is_readable(uid))


def is_readable(syntax: UID, *, bits: int = BYTE) -> bool:
    """Tell whether pixels of a transfer syntax can be decoded.

    Args:
        syntax: any UID.
        bits: that a sample has.
    """
    # The one syntax whose decoders here read fewer bits than it may have.
    if syntax == JPEGExtended12Bit and bits > BYTE:
        return False
    try:
        return bool(get_decoder(syntax).is_available)
    except NotImplementedError:
        return False
