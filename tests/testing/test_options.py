from __future__ import annotations

import pytest

from cognito_reset.testing import Emulator, Options


def test_defaults():
    """An emulator has the documented defaults, and shares them with no other."""
    first, second = Emulator(), Emulator()
    first.options.hourly_allowance = 5
    assert second.options == Options()
    assert second.options.hourly_allowance == 10


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("unknown_user", "nonsense"),
        ("too_many_requests_status", 500),
        ("hourly_allowance", "5"),
        ("hourly_allowance", True),
        ("new_code_ends_old", 1),
    ],
)
def test_values(name, value):
    """Assigning a value that isn't a choice raises an error at once."""
    options = Options()
    with pytest.raises(ValueError, match=name):
        setattr(options, name, value)
    with pytest.raises(ValueError, match=name):
        Options(**{name: value})


def test_unknown_name():
    """Assigning an unknown option raises an error."""
    with pytest.raises(AttributeError):
        Options().hourly_alowance = 5


def test_update_is_whole():
    """update() makes all changes or none."""
    options = Options()
    with pytest.raises(ValueError, match="unknown_user"):
        options.update({"hourly_allowance": 5, "unknown_user": "nonsense"})
    with pytest.raises(TypeError, match="hourly_alowance"):
        options.update({"hourly_allowance": 5, "hourly_alowance": 5})
    assert options == Options()
    options.update({"hourly_allowance": 5, "unknown_user": "alternating"})
    assert options == Options(hourly_allowance=5, unknown_user="alternating")
