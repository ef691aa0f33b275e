# SPDX-License-Identifier: Apache-2.0
"""`python -m cli`: the same as `hilum`."""

from cli.main import main

main()
