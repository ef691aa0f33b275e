# SPDX-License-Identifier: Apache-2.0
"""The scanners' door itself: who comes in, with TLS or without, and that it is closed behind them."""

import socket
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

from pynetdicom import AE
from pynetdicom.transport import AssociationServer, ThreadedAssociationServer
from typing_extensions import override

from hilum.errors import MissingSetting
from hilum.settings import Settings

HANDSHAKE_S: Final = 10.0
"""A caller that has not shaken hands by then is hung up on."""


class Closing(socket.socket):
    """A connection that is closed where its other end is gone too: pynetdicom shuts down first."""

    @override
    def shutdown(self, how: int) -> None:
        """Shut down, if there is still something to."""
        with suppress(OSError):
            super().shutdown(how)


class ClosingTLS(ssl.SSLSocket):
    """The same with TLS."""

    @override
    def shutdown(self, how: int) -> None:
        """Shut down, if there is still something to."""
        with suppress(OSError):
            super().shutdown(how)


class Door(ThreadedAssociationServer):
    """A server that shakes hands in the thread of each caller.

    pynetdicom's own does so where it accepts, and one silent caller would stop it for everybody.
    """

    @override
    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a caller without a word."""
        accepted, address = cast("socket.socket", self.socket).accept()
        return Closing(fileno=accepted.detach()), address

    @override
    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a caller, once it has shaken hands where it has to."""
        if self.ssl_context is not None:
            request.settimeout(HANDSHAKE_S)
            # Who does not speak TLS, or shows no certificate, is nobody's patient.
            with suppress(OSError):
                request = self.ssl_context.wrap_socket(request, server_side=True)
            if not isinstance(request, ssl.SSLSocket):
                request.close()
                return
            request.settimeout(None)
        super().process_request_thread(request, client_address)


class Entity(AE):
    """An application entity with such a door."""

    @override
    def make_server(  # type: ignore[override]  # it only hands on what it is given
        self, *arguments: Any, **options: Any
    ) -> AssociationServer:
        """Return the server of this entity."""
        return super().make_server(*arguments, **options | {"server_class": Door})


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Return what the service speaks TLS with; None where it is not to.

    Raises:
        MissingSetting: a file of it cannot be used.
    """
    if not settings.dimse_certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslsocket_class = ClosingTLS
    _furnish(context, settings)
    if settings.dimse_authorities:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(settings: Settings) -> ssl.SSLContext:
    """Return what archives are spoken to with: their certificate is checked, and ours is shown.

    Raises:
        MissingSetting: a file of it cannot be used.
    """
    # Beside the authorities of the system, which it begins with.
    context = ssl.create_default_context()
    _furnish(context, settings)
    return context


def _furnish(context: ssl.SSLContext, settings: Settings) -> None:
    """Give a context the certificate, and those whose word is taken."""
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if settings.dimse_certificate:
            context.load_cert_chain(
                _file(settings.dimse_certificate), _file(settings.dimse_private_key)
            )
        if settings.dimse_authorities:
            context.load_verify_locations(settings.dimse_authorities)
    except (OSError, ssl.SSLError) as error:
        raise MissingSetting(f"HILUM_DIMSE_CERTIFICATE: {error}.") from error


def _file(path: str) -> str:
    if not Path(path).is_file():
        raise MissingSetting(f"HILUM_DIMSE_CERTIFICATE and _PRIVATE_KEY: no file {path!r}.")
    return path
