"""Write docs/reference/diagnostics.md; run it after a diagnostic code was added.

Specs' codes are explained in `reconciler.spec.codes`, the others here. The architecture tests
say when the page is not current: ``python -m tools.make_diagnostics_page``.
"""

from __future__ import annotations

from pathlib import Path

from reconciler.spec.codes import CODES

PAGE = Path(__file__).resolve().parents[1] / "docs/reference/diagnostics.md"
OTHERS = {
    "WFL101": "A workflow file is JSON, but not a workflow.",
    "WFL102": "Two nodes have the same name.",
    "WFL103": "A node has no name or no type, or is not an object.",
    "WFL104": "A field of a node has the wrong type.",
    "WFL105": "The connections have the wrong form.",
    "WFL106": "The settings have a value that n8n refuses.",
    "WFL108": "A value can't be JSON, or is nested too deeply.",
    "WFL109": "A text holds NUL or half a character.",
    "WFL110": "A number is too large to be exact in n8n.",
    "WFL111": "A node has no typeVersion, so 1 is taken.",
    "WFL112": "A connection starts or ends at a node that is not there.",
    "WFL113": "n8n has no such node type.",
    "WFL114": "n8n leaves this node type out unless it is told otherwise.",
    "WFL115": "The node type has no such version.",
    "WFL116": "Two nodes of the workflow listen to the same webhook path.",
    "WFL117": "Another workflow in n8n already listens to the webhook path.",
    "WFL118": "n8n can't read a cron expression of a node.",
    "WFL119": "The workflow has no trigger that could start it.",
    "WFL120": "A node needs a credential that the spec does not name.",
    "WFL121": "A line of `workflow.credentials` fits no node.",
    "WFL122": "A node uses several credential types, so it must be mapped by type.",
    "WFL124": "An expression opens with `{{` and never closes.",
    "WFL125": "A feature needs an n8n licence.",
    "WFL126": "A trigger is connected to nothing.",
    "WFL127": "n8n saves no runs of the workflow, so they can't be followed.",
    "WFL130": "An *Execute Workflow* node calls nothing.",
    "WFL131": "An *Execute Workflow* node calls by an id of one n8n instead of by an automation's name.",
    "WFL132": "A line of `workflow.calls` fits no node.",
    "WFL140": "A node bears the name that is kept for the managed entry.",
    "WFL141": "Something in a workflow is left out when it is applied.",
    "WFL150": "The workflow of a template uses a parameter that is not declared.",
    "RISK001": "A node runs code of its own.",
    "RISK002": "A node runs commands on n8n's machine.",
    "RISK003": "A node runs commands on other machines.",
    "RISK004": "A node reads or writes files on n8n's machine.",
    "RISK005": "A node works on git repositories on n8n's machine.",
    "RISK006": "A node changes n8n itself through its API.",
    "RISK010": "A text in a node looks like a secret.",
    "PLN101": "A change that `apply` would make.",
    "PLN102": "A change that a guard or a missing secret blocks.",
    "PLN103": "Something was changed outside of the specs.",
}
GROUPS = {
    "FIL": "Files",
    "YML": "YAML",
    "JSN": "JSON of workflows",
    "SPE": "The shape of documents",
    "REF": "References between documents",
    "AUT": "Automations and triggers",
    "CRE": "Credentials and secrets",
    "FMT": "Formatting",
    "WFL": "Workflows",
    "RISK": "Risks in workflows",
    "PLN": "Plans, for build servers",
}
HEAD = """\
# Diagnostics

A finding looks like a compiler's: place, severity, code, message, the line, and a hint where there is one.

```
specs/organizations/acme/revenue-report.yaml:15:17: error[AUT104]: unknown time zone "Europe/Berln"
   15 |       timezone: Europe/Berln
      |                 ^^^^^^^^^^^^
  help: did you mean "Europe/Berlin"?
```

Errors stop `validate`, `plan` and `apply` (exit code 3); warnings and notes don't. A code never changes its meaning and is never given again.
"""


def page() -> str:
    """Write the page as text; every code belongs to one of the groups."""
    codes = {**CODES, **OTHERS}
    text = HEAD
    for group, title in GROUPS.items():
        rows = [f"| `{code}` | {codes[code]} |" for code in sorted(codes) if code[:-3] == group]
        text += "\n".join([f"\n## {title}\n", "| code | means |", "|---|---|", *rows, ""])
    return text


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
