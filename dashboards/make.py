#!/usr/bin/env python3
"""Writes the two Grafana dashboards.

dashboards/make.py          writes grafana/dashboards/driftd/*.json
dashboards/make.py --check  says which of them is not what this program writes
"""

import json
import sys
from pathlib import Path

from source.fleet import fleet
from source.model import model

FOLDER = Path(__file__).resolve().parent / "grafana" / "dashboards" / "driftd"


def main():
    stale = []
    for name, made in [("fleet.json", fleet()), ("model.json", model())]:
        text = json.dumps(made, indent=2, ensure_ascii=False) + "\n"
        path = FOLDER / name
        if "--check" not in sys.argv[1:]:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(str(path))
    if stale:
        sys.exit(f"not what dashboards/make.py writes: {', '.join(stale)}")


if __name__ == "__main__":
    main()
