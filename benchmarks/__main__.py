# SPDX-License-Identifier: Apache-2.0
"""Run every benchmark of this folder and print one JSON object; names choose some of them.

python -m benchmarks [study] [api] ...
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine

FOLDER = Path(__file__).parent
NO_BENCHMARKS = {"__init__", "__main__", "machine", "noop"}


def main() -> None:
    """Measure and print; exit with 1 where a benchmark broke off."""
    here = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in NO_BENCHMARKS)
    chosen = sys.argv[1:] or here
    if unknown := set(chosen) - set(here):
        sys.exit(f"There is no benchmark {', '.join(unknown)}; there are {', '.join(here)}.")
    results: dict[str, Any] = {"machine": describe_machine()}
    for name in chosen:
        results[name] = measure(name)
    print(json.dumps(results, indent=2))
    sys.exit(any("broke_off" in result for result in results.values()))


def measure(name: str) -> Any:
    """Return what one benchmark prints; it has a process, and so the memory, to itself."""
    print(f"benchmark {name} …", file=sys.stderr)
    begun = time.perf_counter()
    command = [sys.executable, "-m", f"benchmarks.{name}"]
    ended = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own programs
    if ended.returncode != 0:
        return {"broke_off": ended.returncode}
    result: dict[str, Any] = json.loads(ended.stdout)
    return result | {"took_s": round(time.perf_counter() - begun, 1)}


if __name__ == "__main__":
    main()
