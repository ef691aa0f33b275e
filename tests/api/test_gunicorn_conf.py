import socket

from gunicorn.http.unreader import SocketUnreader  # type: ignore[import-untyped]  # it has no types

from api import gunicorn_conf


def test_body_is_received_in_pieces_that_memory_is_kept_for() -> None:
    sender, receiver = socket.socketpair()
    with sender, receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * gunicorn_conf.PIECE)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * gunicorn_conf.PIECE)
        sender.setblocking(False)
        sent = sender.send(bytes(2 * gunicorn_conf.PIECE))

        piece = SocketUnreader(receiver).chunk(size_hint=2 * gunicorn_conf.PIECE)

    assert len(piece) <= gunicorn_conf.PIECE < sent
