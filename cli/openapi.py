# SPDX-License-Identifier: Apache-2.0
"""`hilum openapi`: the description of the HTTP API, for client generators and gateways."""

import json

import click

from api import create_app
from api.parts import EXTENSION
from cli.home import find_settings


@click.command(short_help="Print the description of the HTTP API.")
def openapi() -> None:
    """Print the OpenAPI document of this installation as JSON."""
    app = create_app(find_settings())
    try:
        with app.app_context():
            click.echo(json.dumps(app.spec, indent=2))
    finally:
        app.extensions[EXTENSION].close()
