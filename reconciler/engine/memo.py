"""What a spec folder was compiled to, remembered so that an unchanged one need not be read again.

A memo holds no payload, only the digest of each: it may be used where the inventory holds a
payload with that digest, so a memo can save work but not change a plan. It is valid for the
same texts, the same program and the same answers about secrets and taken webhooks; whatever
else is true, the specs are compiled. Not here: where memos are kept (`reconciler.app.specs`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from reconciler.diagnostics import Diagnostic, Mark, Severity
from reconciler.engine.compile import Compiled
from reconciler.engine.facts import SecretFacts
from reconciler.plan.state import Desired, Recorded
from reconciler.resource.address import Address
from reconciler.resource.payload import Payload
from reconciler.spec.link import Wanted
from reconciler.spec.secretref import SecretRef

FORMAT = 1
Question: TypeAlias = tuple[str | None, ...]
Taken: TypeAlias = frozenset[tuple[str, str]]


@dataclass(slots=True)
class Asked:
    """Notes which questions about secrets were asked, and what the answer was."""

    facts: SecretFacts
    answers: dict[Question, str | None] = field(default_factory=dict)

    def noted(self) -> SecretFacts:
        """Give facts that answer like the real ones, and note it."""
        return SecretFacts(
            fingerprint=lambda a, f, r: self._note("fingerprint", str(a), f, *_parts(r)),
            missing=lambda r: self._note("missing", *_parts(r)),
            entry=lambda organization: self._note("entry", organization),
        )

    def _note(self, *question: str | None) -> str | None:
        answer = self.answers[question] = _ask(self.facts, question)
        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Memo:
    """One compilation: what went in, and the digests of what came out."""

    inputs: str  # digest of all texts and of the program
    wanted: tuple[Wanted, ...]  # the workflow files among the texts
    references: tuple[SecretRef, ...]
    answers: Mapping[Question, str | None]
    taken: Taken
    desired: Mapping[Address, tuple[str, Desired]]  # digest, and all but the payload
    diagnostics: tuple[Diagnostic, ...]

    def compiled(
        self,
        recorded: Mapping[Address, Recorded],
        digests: Mapping[Address, str],
        facts: SecretFacts,
        taken: Taken,
    ) -> Compiled | None:
        """Give what the specs compile to, with the inventory's payloads; None: compile them.

        *digests* must have been read after *recorded*.
        """
        if taken != self.taken or any(_ask(facts, q) != a for q, a in self.answers.items()):
            return None
        found: dict[Address, Desired] = {}
        for address, (digest, want) in self.desired.items():
            entry = recorded.get(address)
            if entry is None or digests.get(address) != digest:
                return None
            found[address] = Desired(
                address=address,
                payload=entry.payload,
                protected=want.protected,
                moved_from=want.moved_from,
                blocked=want.blocked,
                row_id=want.row_id,
                mark=want.mark,
            )
        return Compiled(desired=found, diagnostics=self.diagnostics)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a compilation was made from."""

    inputs: str
    wanted: tuple[Wanted, ...]
    references: tuple[SecretRef, ...]
    answers: Mapping[Question, str | None]
    taken: Taken


def remember(origin: Origin, compiled: Compiled, digest: Callable[[Payload], str]) -> Memo:
    """Note what was compiled."""
    return Memo(
        inputs=origin.inputs,
        wanted=origin.wanted,
        references=tuple(dict.fromkeys(origin.references)),
        answers=dict(origin.answers),
        taken=origin.taken,
        desired={a: (digest(want.payload), want) for a, want in compiled.desired.items()},
        diagnostics=compiled.diagnostics,
    )


def inputs_digest(parts: Iterable[str | None]) -> str:
    """Hash texts so that no two different lists of them are alike."""
    digest = hashlib.blake2b(digest_size=32)
    for part in parts:
        data = b"" if part is None else part.encode()
        digest.update(b"-" if part is None else b"%d:" % len(data))
        digest.update(data)
    return digest.hexdigest()


def encode(memo: Memo) -> str:
    """Write a memo as JSON, after a line with its hash."""
    text = json.dumps(
        {
            "format": FORMAT,
            "inputs": memo.inputs,
            "wanted": [[want.relative, want.file] for want in memo.wanted],
            "references": [_parts(reference) for reference in memo.references],
            "answers": [[*question, answer] for question, answer in memo.answers.items()],
            "taken": sorted(memo.taken),
            "desired": [
                [str(address), digest, want.protected, _text(want.moved_from), want.blocked,
                 want.row_id, _place(want.mark)]
                for address, (digest, want) in memo.desired.items()
            ],
            "diagnostics": [
                [d.severity.value, d.code, d.message, _place(d.mark), d.hint]
                for d in memo.diagnostics
            ],
        },
        separators=(",", ":"),
    )  # fmt: skip
    return f"{inputs_digest([text])}\n{text}"


def decode(written: str) -> Memo | None:
    """Read what `encode` wrote; None for anything else, such as half of it."""
    digest, _, text = written.partition("\n")
    if digest != inputs_digest([text]):
        return None
    data = json.loads(text)
    return _memo(data) if data["format"] == FORMAT else None


def _memo(data: Mapping[str, Any]) -> Memo:
    return Memo(
        inputs=str(data["inputs"]),
        wanted=tuple(Wanted(str(relative), str(file)) for relative, file in data["wanted"]),
        references=tuple(_reference(*parts) for parts in data["references"]),
        answers={tuple(row[:-1]): row[-1] for row in data["answers"]},
        taken=frozenset((str(method), str(path)) for method, path in data["taken"]),
        desired={a: (digest, want) for a, digest, want in map(_desired, data["desired"])},
        diagnostics=tuple(
            Diagnostic(Severity(severity), code, message, _mark(place), hint)
            for severity, code, message, place, hint in data["diagnostics"]
        ),
    )


def _desired(row: list[Any]) -> tuple[Address, str, Desired]:
    text, digest, protected, moved_from, blocked, row_id, place = row
    address = Address.parse(text)
    want = Desired(
        address=address,
        payload={},
        protected=bool(protected),
        moved_from=None if moved_from is None else Address.parse(moved_from),
        blocked=blocked,
        row_id=row_id,
        mark=_mark(place),
    )
    return address, str(digest), want


def _parts(reference: SecretRef) -> tuple[str | None, str | None, str | None]:
    return reference.env, reference.file, reference.age


def _reference(env: str | None, file: str | None, age: str | None) -> SecretRef:
    return SecretRef.model_construct(env=env, file=file, age=age)


def _ask(facts: SecretFacts, question: Question) -> str | None:
    what, *rest = question
    if what == "entry":
        return facts.entry(str(rest[0]))
    if what == "missing":
        return facts.missing(_reference(*rest))
    address, name, *parts = rest
    return facts.fingerprint(Address.parse(str(address)), str(name), _reference(*parts))


def _text(address: Address | None) -> str | None:
    return None if address is None else str(address)


def _place(mark: Mark | None) -> list[Any] | None:
    return None if mark is None else [mark.path, mark.line, mark.column]


def _mark(place: list[Any] | None) -> Mark | None:
    return None if place is None else Mark(*place)
