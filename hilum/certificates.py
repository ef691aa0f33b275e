# SPDX-License-Identifier: Apache-2.0
"""Until when certificates are valid."""

from datetime import datetime
from pathlib import Path

from cryptography import x509


def expiries(path: Path) -> list[datetime]:
    """Return until when each certificate of a PEM file is valid, the soonest first.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds no certificate, or something that is none.
    """
    found = x509.load_pem_x509_certificates(path.read_bytes())
    return sorted(one.not_valid_after_utc for one in found)
