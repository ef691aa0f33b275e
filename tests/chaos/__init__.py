"""Break a whole running system, seeded, and count what came of every job."""
