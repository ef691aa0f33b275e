"""A callback may lead to the internet and nowhere else."""

import pytest

from hilum.addresses import is_public, is_within, parse_networks


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "0.0.0.0",  # noqa: S104 - an address to refuse, not one to listen on
        "224.0.0.1",
        "::1",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:10.0.0.1",
    ],
)
def test_an_address_of_a_machine_or_a_ward_is_not(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b::808:808", True),
        ("2002:a00:1::1", False),
        ("2002:808:808::1", True),
        ("::a00:1", False),
        ("fec0::1", False),
        ("192.0.0.192", False),
        ("168.63.129.16", False),
    ],
)
def test_address_that_stands_for_another_is_judged_by_it(address: str, expected: bool) -> None:  # noqa: FBT001
    assert is_public(address) is expected


@pytest.mark.parametrize("text", ["10.1.0.0/16", " 10.1.0.0/16 , fd00::/8,", "10.1.2.3"])
def test_networks_are_read_from_a_line(text: str) -> None:
    assert is_within("10.1.2.3", parse_networks(text))
    assert not is_within("10.2.0.1", parse_networks(text))


@pytest.mark.parametrize("text", ["10.1.2.3/16", "pacs.example", "10.1.0.0/16 10.2.0.0/16", "all"])
def test_line_that_names_no_networks_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"does not appear|has host bits"):
        parse_networks(text)
