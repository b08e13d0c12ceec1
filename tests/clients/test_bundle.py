"""The demo's copy of the AWS SDK is the one that is built from the SDK's packages."""

from __future__ import annotations

import pytest

from tests.clients.bundle import LICENCES, MODULES, SDK, STATIC, build


def test_the_bundle_is_what_its_source_gives(tmp_path):
    """Byte for byte, with the licences of all that is in it: `make sdk` writes both."""
    if not MODULES.is_dir():
        pytest.skip("AWS's clients aren't installed: make clients does that, with npm")
    build(tmp_path)
    for name in (SDK, LICENCES):
        assert (tmp_path / name).read_bytes() == (STATIC / name).read_bytes()


def test_the_bundle_stays_small():
    """It contains two of the SDK's hundred operations."""
    source = (STATIC / SDK).read_text()
    assert len(source) < 200_000
    assert "ConfirmForgotPassword" in source
    assert "AdminCreateUser" not in source
    licences = (STATIC / LICENCES).read_text()
    assert "@aws-sdk/client-cognito-identity-provider" in licences
    assert "Apache License" in licences
