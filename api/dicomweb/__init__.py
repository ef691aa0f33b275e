# SPDX-License-Identifier: Apache-2.0
"""DICOMweb (PS3.18): what hospitals' viewers and archives search, fetch and send."""

from http import HTTPStatus

from apiflask import APIBlueprint
from flask import Response

from api.errors import problem
from hilum.errors import InvalidRequest

# PS3.18 describes these resources, so the API's own document does not.
dicomweb = APIBlueprint("dicomweb", __name__, url_prefix="/dicom-web", enable_openapi=False)


@dicomweb.errorhandler(InvalidRequest)
def _malformed(error: InvalidRequest) -> Response:
    # PS3.18 8.5 says 400 of a query, an address or a body that cannot be read.
    return problem(HTTPStatus.BAD_REQUEST, code=error.code, title=error.title, detail=error.message)


# The views hang themselves on the blueprint, which has to be there first.
from api.dicomweb import frames, qido, rendered, stow, wado  # noqa: E402, F401 - as said above
