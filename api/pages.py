# SPDX-License-Identifier: Apache-2.0
"""A page that needs nobody to sign in: every error by its code, for whoever meets one."""

from apiflask import APIBlueprint
from flask import render_template

from api.errors import status_of
from hilum.errors import HilumError

pages = APIBlueprint("pages", __name__, enable_openapi=False)


@pages.get("/problems")
def problems() -> str:
    """List every error by its code."""
    families = sorted(_all_errors(HilumError), key=lambda error: (status_of(error), error.code))
    listed = [(error.code, status_of(error), error().title) for error in families]
    return render_template("problems.html", problems=listed)


def _all_errors(family: type[HilumError]) -> list[type[HilumError]]:
    below = [error for child in family.__subclasses__() for error in _all_errors(child)]
    return below or ([family] if status_of(family) else [])
