# SPDX-License-Identifier: Apache-2.0
"""The JSON shapes that go out, for the OpenAPI document and for whoever reads an answer."""
