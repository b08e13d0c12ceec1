"""Staff on a site of another kind."""

from __future__ import annotations

import pytest

from cognito_reset.staff.accounts import staff_identifiers
from tests.variants.people_app.models import Member


@pytest.mark.django_db
def test_the_staff_are_found_by_their_properties() -> None:
    """Whatever is_staff is."""
    boss = Member._default_manager.create(email="Boss@example.com", is_admin=True)
    Member._default_manager.create(email="alice@example.com")
    assert staff_identifiers(lambda user: f"corp-{user.pk}") == {
        "boss@example.com",
        f"corp-{boss.pk}",
    }
