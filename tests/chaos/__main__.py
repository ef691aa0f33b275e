"""Break a whole system and print what came of it; exit 1 where a promise was not kept.

python -m tests.chaos --jobs 1000 --faults 200 --seed 7
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import click

from tests.chaos.run import run_chaos


@click.command()
@click.option("--jobs", default=1000, show_default=True)
@click.option("--faults", default=200, show_default=True)
@click.option("--seed", default=1, show_default=True, help="Of faults and requests.")
@click.option("--keep", is_flag=True, help="Keep data and logs even where nothing went wrong.")
def main(jobs: int, faults: int, seed: int, *, keep: bool) -> None:
    """Submit jobs while faults strike; nothing may be lost, and nothing doubled."""
    folder = Path(tempfile.mkdtemp(prefix="hilum-chaos-"))
    outcome = run_chaos(
        folder, jobs=jobs, faults=faults, seed=seed, say=lambda line: click.echo(line, err=True)
    )
    click.echo(json.dumps(outcome.to_json(), indent=2))
    click.echo(
        f"{outcome.jobs} jobs, {outcome.faults} faults: "
        + (
            "nothing lost, nothing doubled."
            if not outcome.breaches
            else f"{len(outcome.breaches)} promises broken."
        )
    )
    if outcome.breaches or keep:
        click.echo(f"Data and logs are in {folder}.", err=True)
        sys.exit(1 if outcome.breaches else 0)
    shutil.rmtree(folder)


main()
