# SPDX-License-Identifier: Apache-2.0
"""Server-Sent Events: one thread asks the database for all who listen, each in a thread of its own."""
