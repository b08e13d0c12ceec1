"""Sites of another kind, each a variant of tests.settings; tests/test_variants.py runs them."""
