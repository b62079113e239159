"""A credential's owner, provider and title exist once: said before anything is written."""

from __future__ import annotations

from reconciler.engine.unique import block_clashes, clashes
from reconciler.plan.state import Desired, Recorded, World
from reconciler.resource.address import Address
from reconciler.resource.payload import Payload


def address(name: str) -> Address:
    return Address("acme", "Credential", name)


def payload(title: str) -> Payload:
    return {"row": {"user": "ops@acme.example", "provider": "OTHER", "credentialName": title}}


def want(name: str, title: str, moved_from: str | None = None) -> Desired:
    old = address(moved_from) if moved_from else None
    return Desired(address=address(name), payload=payload(title), moved_from=old)


def world(*desired: Desired, recorded: dict[str, str], removed: bool = False) -> World:
    entries = {
        address(name): Recorded(
            address=address(name), row_id=name, payload=payload(title), removed=removed
        )
        for name, title in recorded.items()
    }
    return World(desired={d.address: d for d in desired}, recorded=entries, observed={})


def test_two_documents_with_the_same_owner_provider_and_title_are_an_error() -> None:
    found = list(clashes([want("a", "Mail"), want("b", "Mail"), want("c", "Other")]))

    assert ["CRE110"] == [diagnostic.code for diagnostic in found]
    assert "acme/Credential/b" in found[0].message


def test_a_renamed_credential_without_moved_from_is_blocked_before_n8n_hears_of_it() -> None:
    made = block_clashes(world(want("new", "Mail"), recorded={"old": "Mail"}))

    assert "movedFrom: old" in str(made.desired[address("new")].blocked)


def test_a_renamed_credential_with_moved_from_is_not_blocked() -> None:
    made = block_clashes(world(want("new", "Mail", "old"), recorded={"old": "Mail"}))

    assert made.desired[address("new")].blocked is None


def test_a_removed_credential_blocks_nothing() -> None:
    made = block_clashes(world(want("new", "Mail"), recorded={"old": "Mail"}, removed=True))

    assert made.desired[address("new")].blocked is None


def test_a_credential_that_keeps_its_title_is_not_blocked_by_itself() -> None:
    made = block_clashes(world(want("old", "Mail"), recorded={"old": "Mail"}))

    assert made.desired[address("old")].blocked is None
