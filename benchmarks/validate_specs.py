"""How long `validate` takes over 5,000 spec files, as a ratio to bare yaml.CSafeLoader.

Both read the same files from disk in the same process; rounds alternate, and the
best round of each counts. Run: python benchmarks/validate_specs.py [--files N]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from reconciler.kinds.models import MODELS
from reconciler.source.load import load

ORGANIZATION = """\
apiVersion: reconciler/v1
kind: Organization
metadata: {{name: org-{number}}}
spec: {{title: Organization {number}, members: [{{email: ops@acme.example, role: ADMIN}}]}}
---
apiVersion: reconciler/v1
kind: Credential
metadata: {{name: main-gmail}}
spec: {{provider: GMAIL, owner: ops@acme.example, existing: {{name: Main, type: gmailOAuth2}}}}
"""
AUTOMATION = """\
# yaml-language-server: $schema=../../../schemas/automation.schema.json
apiVersion: reconciler/v1
kind: Automation
metadata: {{name: invoice-intake-{number}, labels: {{team: finance}}}}
spec:
  title: Invoice intake {number}
  description: Files each invoice that arrives
  active: true
  createdBy: ops@acme.example
  tags: [finance, number-{number}]
  workflow:
    file: workflows/shared.json
    credentials: {{gmailOAuth2: main-gmail}}
  triggers:
    - {{name: form, type: WEBHOOK, auth: {{scheme: standard-webhooks, secretRef: {{env: HOOK}}}}}}
    - {{name: mornings, type: SCHEDULE, cron: "{minute} 9 * * 1-5", timezone: Europe/Berlin,
       misfire: fire_once, overlap: skip}}
    - name: big-invoices
      type: DOCUMENT_UPLOADED
      event: document.uploaded
      filters: {{documentType: invoice, fileSize: {{lessThan: {number}}}, tags: [urgent]}}
  execution: {{timeout: 5m, retries: 3, concurrency: 5, rateLimit: 100/min}}
  lifecycle: {{protected: true}}
"""
PER_ORGANIZATION = 100


def generate(root: Path, count: int) -> list[Path]:
    """Write *count* automations, a hundred to an organization."""
    paths = []
    for number in range(count):
        folder = root / "organizations" / f"org-{number // PER_ORGANIZATION}"
        if number % PER_ORGANIZATION == 0:
            (folder / "workflows").mkdir(parents=True)
            workflow = {"nodes": [{"name": "Start", "type": "n8n-nodes-base.set"}]}
            (folder / "workflows" / "shared.json").write_text(json.dumps(workflow))
            paths.append(folder / "organization.yaml")
            paths[-1].write_text(ORGANIZATION.format(number=number // PER_ORGANIZATION))
        paths.append(folder / f"automation-{number}.yaml")
        paths[-1].write_text(AUTOMATION.format(number=number, minute=number % 60))
    return paths


def floor(paths: list[Path]) -> None:
    """Do the least that any tool must do."""
    for path in paths:
        for document in yaml.load_all(path.read_text(), yaml.CSafeLoader):
            assert document


def validate(root: Path) -> None:
    """Read, check and link everything, as the command does."""
    loaded = load(root, MODELS)
    assert loaded.ok, loaded.diagnostics[:3]


def timed(work: Callable[[], None]) -> float:
    """Measure *work* in seconds of CPU, which a busy machine disturbs least."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Print one line of JSON."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--files", type=int, default=5000)
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = generate(Path(folder), options.files)
        rounds = [
            (timed(lambda: floor(paths)), timed(lambda: validate(Path(folder))))
            for _ in range(options.rounds)
        ]
    bare, ours = min(a for a, _ in rounds), min(b for _, b in rounds)
    result = {
        "files": len(paths),
        "csafeloader_s": round(bare, 3),
        "validate_s": round(ours, 3),
        "ratio": round(ours / bare, 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
