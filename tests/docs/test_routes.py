import re
from pathlib import Path

import pytest

from api import create_app
from api.parts import EXTENSION
from hilum.catalogue import PIPELINES
from hilum.settings import Settings
from tests.docs.places import read


def as_written(rule: str) -> str:
    """Return Flask's rule as OpenAPI writes it."""
    return re.sub(r"<(?:[^:>]+:)?([a-z_]+)>", r"{\1}", rule)


@pytest.fixture
def routes(tmp_path: Path) -> set[str]:
    settings = Settings(
        database_url="postgresql://nowhere/hilum",
        redis_url="redis://nowhere",
        storage_url=tmp_path.as_uri(),
        secret_key="0123456789abcdef0123456789abcdef",
        spool_dir=tmp_path / "spool",
    )
    app = create_app(settings)
    app.extensions[EXTENSION].close()
    return {
        f"{method} {as_written(rule.rule)}"
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if "static" not in rule.rule
        and "assets" not in rule.rule
        # Pages lead to one another; docs/dashboard.md tells of them.
        and not rule.endpoint.startswith(("dashboard.", "door."))
    }


def test_every_route_is_in_the_document(routes: set[str]) -> None:
    document = read("api.md")

    assert [route for route in sorted(routes) if f"`{route}`" not in document] == []


def test_the_document_has_no_route_that_is_gone(routes: set[str]) -> None:
    documented = set(re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) /[^`]*)`", read("api.md")))

    assert documented - routes == set()


@pytest.mark.parametrize("name", PIPELINES)
def test_every_pipeline_has_its_row(name: str) -> None:
    networks = ", ".join(f"`{network}`" for network in PIPELINES[name].networks)

    assert re.search(rf"^\| `{name}` \|[^|]*\| {networks} \|", read("api.md"), re.MULTILINE)
