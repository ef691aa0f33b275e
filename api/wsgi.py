# SPDX-License-Identifier: Apache-2.0
"""The app as gunicorn starts it: `gunicorn -c python:api.gunicorn_conf api.wsgi:app`."""

import atexit

from api import create_app
from api.gatherer import Gatherer
from api.parts import EXTENSION
from hilum.logs import configure_logs
from hilum.settings import Settings

settings = Settings.from_environment()
configure_logs(settings)
app = create_app(settings)
# An orderly end leaves an empty spool; after any other, the next start sweeps it.
atexit.register(app.extensions[EXTENSION].close)
gatherer = Gatherer(app.extensions[EXTENSION])
# Handlers run in reverse: a study at hand is taken in before its parts are closed.
atexit.register(gatherer.stop)
gatherer.start()
