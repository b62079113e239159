"""The codes of all diagnostics about specs, each with one line of meaning.

A code never changes its meaning and is never given again. Workflow findings
(``WFL...``, ``RISK...``) are explained by the package that makes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

CODES: Final[Mapping[str, str]] = MappingProxyType(
    {
        # Files
        "FIL101": "A symbolic link leads to nothing.",
        "FIL102": "A symbolic link leads out of the spec root.",
        "FIL103": "Something that is not a regular file has the name of a spec file.",
        "FIL104": "A file is too large.",
        "FIL105": "All spec files together are too large.",
        "FIL106": "A file is not UTF-8 text.",
        "FIL108": "A file name holds control or direction characters.",
        "FIL109": "Two file names differ only in case or in how their accents are encoded.",
        "FIL110": "A file cannot be read.",
        "FIL111": "A workflow file that a document names is not there.",
        "FIL112": "A workflow file lies outside of the spec root.",
        "FIL113": "The spec root is not there or is not a folder.",
        # YAML
        "YML101": "The text is not YAML.",
        "YML102": "Values are nested too deeply.",
        "YML103": "Too many values in a document (aliases count as what they stand for), or too many documents.",
        "YML104": "An alias has no anchor, or an anchor contains itself.",
        "YML105": "A merge key (<<) is used.",
        "YML106": "A tag (!something) is used.",
        "YML107": "A key stands twice in a mapping.",
        "YML108": "A tab is used for indentation.",
        "YML109": "A control character, NUL or half a surrogate pair is in the text.",
        "YML110": "A number is too large to be kept, or is not finite.",
        "YML111": "A key is not text.",
        "YML112": "A character that reverses the direction of text is in the file.",
        "YML113": "A file has too many faults to go on.",
        # JSON of workflows
        "JSN101": "A workflow file is not JSON.",
        "JSN102": "Values in a workflow file are nested too deeply.",
        "JSN103": "A key stands twice in an object of a workflow file.",
        "JSN104": "A number in a workflow file is too large to be kept, or is not finite.",
        "JSN105": "A text in a workflow file holds NUL or half a surrogate pair.",
        # The shape of documents
        "SPE101": "A document is not a mapping.",
        "SPE102": "A field is unknown.",
        "SPE103": "A required field is missing.",
        "SPE104": "A value has the wrong type.",
        "SPE105": "A value is not one of the allowed words.",
        "SPE106": "A value is out of its bounds.",
        "SPE107": "The apiVersion is unknown.",
        "SPE108": "The kind is unknown.",
        "SPE109": "A name is not a DNS label.",
        "SPE110": "It is not said to which organization a document belongs.",
        "SPE111": "A document's organization is not that of the folder it lies in.",
        "SPE112": "Of several fields exactly one must be given.",
        "SPE113": "A field means nothing beside the others.",
        "SPE114": "A duration or a rate has the wrong form.",
        "SPE115": "An e-mail address has the wrong form.",
        "SPE118": "Something is listed twice.",
        "SPE119": "A document has too many faults to show them all.",
        # References between documents
        "REF101": "Two documents have the same address.",
        "REF102": "Two names differ only in case.",
        "REF103": "A reference leads to nothing.",
        "REF104": "Automations call each other in a circle.",
        "REF105": "A document belongs to an organization that has no Organization document.",
        "REF106": "movedFrom names a document that is still there, or is claimed twice.",
        "REF107": "A template has no such parameter.",
        "REF108": "A required parameter of a template is missing.",
        "REF109": "A parameter's value does not fit its type.",
        # Automations and triggers
        "AUT101": "A field of a cron expression is wrong.",
        "AUT102": "A schedule never happens.",
        "AUT103": "A cron expression does not have five fields.",
        "AUT104": "A time zone is unknown.",
        "AUT105": "A webhook does not say how its callers prove who they are.",
        "AUT106": "A filter operator is unknown.",
        "AUT107": "A filter condition has the wrong form.",
        "AUT108": "Two triggers of an automation have the same name.",
        "AUT109": "A schedule has no cron expression.",
        "AUT110": "An event name has the wrong form.",
        # Credentials and secrets
        "CRE101": "A secret stands in a file in plain text.",
        "CRE102": "The name of an environment variable has the wrong form.",
        "CRE103": "An age-encrypted value has the wrong form.",
        "CRE104": "An age-encrypted value cannot be decrypted by this version.",
        "CRE105": "A template parameter would hold a secret.",
        "CRE106": "A reference to a secret has an unknown field.",
        "CRE107": "A reference to a secret does not have exactly one source.",
        "CRE108": "A credential's field is neither a plain value nor a reference to a secret.",
        "CRE110": "Two credentials have the same owner, provider and title.",
        # Formatting
        "FMT101": "A file cannot be formatted without changing what it says.",
    }
)
