import pytest

from hilum.destinations import ADDRESS, Dimse, Stow, parse_entity, parse_service, to_json
from hilum.errors import InvalidRequest


def test_archive_is_named_by_title_host_and_port() -> None:
    assert parse_entity("PACS@pacs.example:104") == Dimse("PACS", "pacs.example", 104, "HILUM")
    assert parse_entity("PACS@[::1]:11112", calling="HILUM_B", tls=True) == Dimse(
        "PACS", "::1", 11112, "HILUM_B", tls=True
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pacs.example:104",
        "@pacs.example:104",
        "PACS@pacs.example",
        "PACS@pacs.example:0",
        "PACS@pacs.example:65536",
        "PACS@:104",
        "SEVENTEEN_LETTERS@pacs.example:104",
        "P\\CS@pacs.example:104",
        "PÄCS@pacs.example:104",
        " PACS@pacs.example:104",
    ],
)
def test_what_names_no_archive_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_entity(text)


def test_calling_title_is_one_of_dicom() -> None:
    with pytest.raises(InvalidRequest, match="SEVENTEEN_LETTERS"):
        parse_entity("PACS@pacs.example:104", calling="SEVENTEEN_LETTERS")


def test_service_is_named_by_its_address() -> None:
    assert parse_service("https://pacs.example/dicom-web/").url == "https://pacs.example/dicom-web"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "pacs.example/dicom-web",
        "ftp://pacs.example",
        "https://",
        "https://user:secret@pacs.example",
        "https://pacs.example?token=secret",
        "https://pacs.example#secret",
        "https://:secret@pacs.example",
        "https://pacs.example:99999",
        "https://pacs example/x",
        "https://pacs.example\n/x",
        "http://[::1",
    ],
)
def test_what_names_no_service_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        parse_service(url)

    assert "secret" not in refusal.value.message


@pytest.mark.parametrize("authorization", ["Bearer a\r\nX-Evil: 1", "Bearer ä"])
def test_authorization_is_one_line(authorization: str) -> None:
    with pytest.raises(InvalidRequest, match="one line of ASCII"):
        parse_service("https://pacs.example", authorization=authorization)


@pytest.mark.parametrize(
    "address",
    [Dimse("PACS", "pacs.example", 104, tls=True), Stow("https://pacs.example", "Basic eA==")],
)
def test_address_is_kept_as_json_and_read_again(address: Dimse | Stow) -> None:
    assert ADDRESS.validate_python(to_json(address)) == address


def test_secret_is_not_shown() -> None:
    address = parse_service("https://pacs.example", authorization="Bearer secret")

    assert "secret" not in f"{address} {address!r}"
