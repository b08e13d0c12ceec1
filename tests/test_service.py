"""The service with the emulator: what it sends, what it returns, and how services are shared."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import inspect
import json
import logging
import re
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import botocore.endpoint
import botocore.session
import pytest
from django.test import RequestFactory
from django.utils import timezone
from django.views.debug import ExceptionReporter

from cognito_reset.cognito import errors as exceptions
from cognito_reset.cognito import refusals
from cognito_reset.cognito.calls import THREAD_NAME, Calls
from cognito_reset.cognito.client import make_client
from cognito_reset.cognito.errors import ResetError
from cognito_reset.cognito.service import (
    CognitoService,
    Delivery,
    clients_made_by,
    get_service,
    wait_until_idle,
)
from cognito_reset.cognito.users import PHONE_THEN_EMAIL, PoolRules, PoolUser
from cognito_reset.conf import CognitoResetMisconfigured, PoolSettings, conf
from cognito_reset.secret import Secret
from cognito_reset.testing import ConnectRefused, Error, Junk, Reset, Status, Timeout, Trickle
from cognito_reset.testing.mount import EVENT, Mount
from tests.doctor.world import CUSTOM_SENDER
from tests.people import NEW_PASSWORD, PASSWORD

MODEL: Any = botocore.session.get_session().get_service_model("cognito-idp")
AWS_REQUEST_ID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
FAMILY = {"client_metadata": {"language": "de"}, "analytics_endpoint_id": "endpoint"}
CONTEXT = {"encoded_data": "device", "ip_address": "192.0.2.1"}
CODE = "739184"
HAS_BEFORE_PARSE = "before-parse" in inspect.getsource(botocore.endpoint)


class OurService(CognitoService):
    """A site's own service class."""


def configure(settings, *, pool=None, **options):
    """Change some keys of COGNITO_RESET, and some of its default pool."""
    values = settings.COGNITO_RESET
    pools = {**values["POOLS"], "default": {**values["POOLS"]["default"], **(pool or {})}}
    settings.COGNITO_RESET = {**values, "POOLS": pools, **options}


def made(people, **options) -> CognitoService:
    """Make a service with permits and breakers of its own, on the process's clients."""
    shared = get_service()
    options = {
        "client_id": people.pool["CLIENT_ID"],
        "client_secret": Secret(people.pool["CLIENT_SECRET"]),
        "user_pool_id": people.pool["USER_POOL_ID"],
        "make_admin_client": lambda: shared.admin_client,
        "calls": Calls(4),
        "total_timeout": 16,
        **options,
    }
    return CognitoService(shared.client, **options)


def sent(people) -> Any:
    """Return the body of the last call."""
    return people.emulator.calls[-1][1]


# What is sent


def test_request_code_sends_all_members_as_aws_names_them(people):
    """ClientMetadata, AnalyticsMetadata and UserContextData have the shapes of botocore's model."""
    get_service().request_code(username="alice", **FAMILY, **CONTEXT)
    body = sent(people)
    assert set(body) == set(MODEL.operation_model("ForgotPassword").input_shape.members)
    assert body == {
        "ClientId": people.pool["CLIENT_ID"],
        "SecretHash": people.secret_hash("alice"),
        "Username": "alice",
        "ClientMetadata": {"language": "de"},
        "AnalyticsMetadata": {"AnalyticsEndpointId": "endpoint"},
        "UserContextData": {"EncodedData": "device", "IpAddress": "192.0.2.1"},
    }


def test_confirm_sends_all_eight_members_as_aws_names_them(people):
    """These are the same, and the code and the password."""
    code = people.code("alice")
    get_service().confirm(
        username="alice", confirmation_code=code, password=NEW_PASSWORD, **FAMILY, **CONTEXT
    )
    body = sent(people)
    assert set(body) == set(MODEL.operation_model("ConfirmForgotPassword").input_shape.members)
    assert (body["ConfirmationCode"], body["Password"]) == (code, NEW_PASSWORD)
    assert body["SecretHash"] == people.secret_hash("alice")
    assert body["ClientMetadata"] == {"language": "de"}
    assert body["AnalyticsMetadata"] == {"AnalyticsEndpointId": "endpoint"}
    assert body["UserContextData"] == {"EncodedData": "device", "IpAddress": "192.0.2.1"}


NOTHING: dict[str, Any] = {
    "client_metadata": {},
    "analytics_endpoint_id": "",
    "encoded_data": "",
    "ip_address": None,
}


@pytest.mark.parametrize(
    "nothing", [{}, dict.fromkeys(NOTHING), NOTHING], ids=["", "None", "empty"]
)
def test_a_missing_value_is_left_out(people, nothing):
    """Cognito refuses some empty members."""
    get_service().request_code(username="alice", **nothing)
    assert set(sent(people)) == {"ClientId", "SecretHash", "Username"}
    with pytest.raises(exceptions.CodeInvalid):
        get_service().confirm(
            username="alice", confirmation_code="1", password=NEW_PASSWORD, **nothing
        )
    assert set(sent(people)) - {"ConfirmationCode", "Password"} == {
        "ClientId",
        "SecretHash",
        "Username",
    }


@pytest.mark.parametrize(("name", "value"), CONTEXT.items())
def test_half_of_the_context_is_sent_without_the_other(people, name, value):
    """UserContextData has no empty member."""
    get_service().request_code(username="alice", **{name: value})
    assert list(sent(people)["UserContextData"].values()) == [value]


def test_admin_reset_sends_the_pool_and_the_sites_metadata(people):
    """AdminResetUserPassword takes no SecretHash; ClientMetadata is sent if there is some."""
    get_service().admin_reset(username="alice")
    pool = people.pool["USER_POOL_ID"]
    assert people.emulator.calls[-1] == (
        "AdminResetUserPassword",
        {"UserPoolId": pool, "Username": "alice"},
    )
    get_service().admin_reset(username="alice", client_metadata={"language": "de"})
    assert sent(people)["ClientMetadata"] == {"language": "de"}


def test_sign_out_everywhere_sends_the_pool_and_the_user(people):
    """AdminUserGlobalSignOut takes nothing else."""
    get_service().sign_out_everywhere(username="alice")
    pool = people.pool["USER_POOL_ID"]
    assert people.emulator.calls[-1] == (
        "AdminUserGlobalSignOut",
        {"UserPoolId": pool, "Username": "alice"},
    )


# SecretHash

VECTORS = [  # by openssl dgst -sha256 -hmac exampleclientsecret1234567 -binary | base64
    ("alice", "z/YOC/aXMnMSfvn0XbhUnpq/+/gYmQBUivMqkjK/1lA="),
    ("Zoë 🔑", "lkG9bhyREJ/4BPfbwQlyRjvhU31gThxtGU/HSc4F5W4="),
    ("alice@example.com", "jgTcN2/Z8xeCk8ShqZeqfJDV6/buCnuB6m9V3tmrYh0="),
]


@pytest.mark.requirement("C13")
@pytest.mark.parametrize(("username", "expected"), VECTORS)
def test_c13_the_secret_hash_is_awss_algorithm(people, username, expected):
    """Base64 of HMAC-SHA256 over username and client id, with the secret as key."""
    made_of = made(
        people, client_id="1example23456789", client_secret=Secret("exampleclientsecret1234567")
    )
    with contextlib.suppress(ResetError):  # for the person who doesn't exist
        made_of.request_code(username=username)
    assert sent(people)["SecretHash"] == expected


@pytest.mark.requirement("C13")
@pytest.mark.parametrize("username", ["alice", "alice@example.com", "ALICE@example.com", "heidi "])
def test_c13_the_secret_hash_is_over_exactly_what_is_sent(people, username):
    """The username may be an alias, unknown, or in another case."""
    try:
        get_service().request_code(username=username)
    except ResetError as error:
        assert username not in ("alice", "alice@example.com"), error  # noqa: PT017
    key = people.pool["CLIENT_SECRET"].encode()
    message = (username + people.pool["CLIENT_ID"]).encode()
    expected = base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()
    assert (sent(people)["Username"], sent(people)["SecretHash"]) == (username, expected)


@pytest.mark.requirement("C13")
def test_c13_a_callable_secret_is_asked_for_each_request(people):
    """A rotated secret needs no restart."""
    secrets = iter(["wrong" * 6, people.pool["CLIENT_SECRET"]])
    rotated = made(people, client_secret=lambda: next(secrets))
    with pytest.raises(exceptions.Misconfigured):
        rotated.request_code(username="alice")
    assert isinstance(rotated.request_code(username="alice"), Delivery)


@pytest.mark.requirement("C13")
@pytest.mark.parametrize("kind", [str, Secret])
def test_c13_the_client_secret_may_be_masked(people, kind):
    """A callable may return a masked one or a plain one."""
    secret = kind(people.pool["CLIENT_SECRET"])
    with_callable = made(people, client_secret=lambda: secret)
    assert isinstance(with_callable.request_code(username="alice"), Delivery)
    assert people.pool["CLIENT_SECRET"] not in str(vars(with_callable))


@pytest.mark.requirement("C13")
@pytest.mark.parametrize(
    "secret", [None, Secret(""), lambda: None, lambda: "", lambda: Secret("")], ids=range(5)
)
def test_c13_a_client_without_a_secret_sends_no_hash(people, secret):
    """Cognito refuses that if the client has one, which is the site's mistake."""
    with pytest.raises(exceptions.Misconfigured):
        made(people, client_secret=secret).request_code(username="alice")
    assert "SecretHash" not in sent(people)


def failing():
    raise ValueError(f"the vault is shut: {PASSWORD}")


@pytest.mark.requirement("C13")
def test_c13_a_failing_callable_is_a_mistake_of_the_site(people, caplog):
    """The log names the setting and the line, but not the exception's text. Nothing is sent."""
    with pytest.raises(exceptions.Misconfigured) as caught:
        made(people, client_secret=failing).request_code(username="alice")
    assert caught.value.aws_code == "ValueError"
    assert (caught.value.sent, caught.value.answered) == (False, None)
    assert people.emulator.calls == []
    [record] = caplog.records
    assert record.levelname == "CRITICAL"
    line = failing.__code__.co_firstlineno + 1
    text = "cognito_reset.site_code_failed setting=CLIENT_SECRET error=ValueError"
    assert record.getMessage() == f"{text} at={__file__}:{line}"


GOOD_SECRET = "canary1canary1canary1canary1"


@pytest.mark.requirement("C13")
@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        (f"{GOOD_SECRET}\n", "it begins or ends with a line break"),
        (f"{GOOD_SECRET}\r\n", "it begins or ends with a line break"),
        (f"\n{GOOD_SECRET}", "it begins or ends with a line break"),
        (f" {GOOD_SECRET}", "it begins or ends with a space or tab"),
        (f"{GOOD_SECRET}\t", "it begins or ends with a space or tab"),
        (f'"{GOOD_SECRET}"', "it has quotes around it"),
        (f"'{GOOD_SECRET}'", "it has quotes around it"),
        (
            f'{{"client_secret": "{GOOD_SECRET}"}}',
            "it is JSON; the secret is one of the values in it",
        ),
        (f'\n{{"secret": "{GOOD_SECRET}"}}\n', "it is JSON; the secret is one of the values in it"),
        (f'["{GOOD_SECRET}"]', "it is JSON; the secret is one of the values in it"),
        ("canary1", "its length is 7, and a secret has 24 to 64 characters"),
        ("canary1" * 10, "its length is 70, and a secret has 24 to 64 characters"),
        (f"\ufeff{GOOD_SECRET}", "it has other characters than letters, digits, _ and +"),
        (f"{GOOD_SECRET}-", "it has other characters than letters, digits, _ and +"),
        (GOOD_SECRET.encode(), "it is of the type bytes"),
        ({"client_secret": GOOD_SECRET}, "it is of the type dict"),
    ],
)
@pytest.mark.parametrize("mask", [lambda value: value, Secret], ids=["plain", "masked"])
def test_c13_a_callable_that_returns_an_invalid_secret(people, caplog, secret, reason, mask):
    """The secret may come from a file or a secrets manager. The log names the mistake, but shows no value."""
    secret = mask(secret) if isinstance(secret, str) else secret
    with pytest.raises(exceptions.Misconfigured) as caught:
        made(people, client_secret=lambda: secret).request_code(username="alice")
    assert (caught.value.sent, caught.value.answered) == (False, None)
    assert caught.value.hint == "CLIENT_SECRET"
    assert people.emulator.calls == []
    [record] = caplog.records
    assert record.levelname == "CRITICAL"
    pool = people.pool["USER_POOL_ID"]
    text = f"cognito_reset.misconfigured: The result of CLIENT_SECRET for {pool} can't be used: {reason}."
    assert record.getMessage() == text
    assert "canary1" not in f"{caplog.text} {caught.value!r}"


# What is returned


def test_a_delivery_has_cognitos_details(people):
    """The destination is masked; the request id is for support."""
    delivery = get_service().request_code(username="alice")
    assert isinstance(delivery, Delivery)
    assert (delivery.medium, delivery.attribute) == ("EMAIL", "email")
    assert re.fullmatch(r"a\*+@e\*+", delivery.destination)
    assert re.fullmatch(AWS_REQUEST_ID, delivery.request_id)


def test_a_delivery_may_lack_a_detail(people):
    """A member that Cognito leaves out is empty."""
    people.emulator.fail_next("ForgotPassword", Junk('{"CodeDeliveryDetails": {}}'))
    delivery = get_service().request_code(username="alice")
    assert isinstance(delivery, Delivery)
    assert (delivery.destination, delivery.medium, delivery.attribute) == ("", "", "")


def test_the_other_operations_return_the_request_id(people):
    """Cognito's answer has nothing else."""
    code = people.code("alice")
    answers = [
        get_service().confirm(username="alice", confirmation_code=code, password=NEW_PASSWORD),
        get_service().admin_reset(username="alice"),
        get_service().sign_out_everywhere(username="alice"),
    ]
    for answer in answers:
        assert re.fullmatch(AWS_REQUEST_ID, answer)
    assert len(set(answers)) == 3


@pytest.mark.requirement("G2")
@pytest.mark.parametrize("kind", [str, Secret])
def test_exactly_the_given_password_is_set(people, kind):
    """It signs in, masked or not, and the old one doesn't."""
    password = "x pässword 🔑 Y1!"
    code = people.code("alice")
    get_service().confirm(username="alice", confirmation_code=kind(code), password=kind(password))
    assert people.can_sign_in("alice", password)
    assert not people.can_sign_in("alice", PASSWORD)


@pytest.mark.parametrize(
    ("method", "username", "expected"),
    [
        ("request_code", "erin", exceptions.UserDisabled),
        ("request_code", "nobody", exceptions.UserNotFound),
        ("admin_reset", "frank", exceptions.WrongState),
        ("sign_out_everywhere", "nobody", exceptions.UserNotFound),
    ],
)
def test_a_refusal_is_a_reset_error(people, caplog, method, username, expected):
    """The log has Cognito's error code and request id, but no username."""
    caplog.set_level(logging.INFO, "cognito_reset")
    with pytest.raises(ResetError) as caught:
        getattr(get_service(), method)(username=username)
    assert type(caught.value) is expected
    [record] = [
        record for record in caplog.records if record.name == "cognito_reset.cognito.pool_calls"
    ]
    assert record.levelno == expected.level
    assert re.fullmatch(
        rf"cognito_reset\.upstream_error operation=\w+ code={expected.code} "
        rf"aws_code=\w+Exception aws_request_id={AWS_REQUEST_ID}",
        record.getMessage(),
    )
    assert not re.search("erin|nobody|frank", record.getMessage())


def test_a_signed_client_that_cannot_be_made_is_a_mistake_of_the_site(people):
    """Nothing was sent, so the outcome is known. The public operations need no signed client."""
    broken = made(people, make_admin_client=failing)
    assert isinstance(broken.request_code(username="alice"), Delivery)
    with pytest.raises(exceptions.Misconfigured) as caught:
        broken.admin_reset(username="alice")
    assert caught.value.aws_code == "ValueError"


def test_the_signed_client_is_made_once_when_it_is_needed(people):
    """32 threads ask for it at the same time."""
    shared = get_service().admin_client
    count = []
    two = threading.Barrier(2)

    def make():
        count.append(1)
        with contextlib.suppress(threading.BrokenBarrierError):
            two.wait(0.1)  # for a second thread, which must not come
        return shared

    lazy = made(people, make_admin_client=make)
    assert count == []
    start = threading.Barrier(32)

    def ask(_):
        start.wait(10)
        return lazy.admin_client

    with ThreadPoolExecutor(32) as executor:
        assert set(map(id, executor.map(ask, range(32)))) == {id(shared)}
    assert count == [1]


# Looking users up


def test_a_user_is_found_by_username(people):
    """The operation is ListUsers: AdminGetUser makes the user a billed one."""
    found = get_service().find_user(username="alice")
    assert (found.username, found.status, found.enabled) == ("alice", "CONFIRMED", True)
    assert (found.email_verified, found.phone_verified) == (True, False)
    assert timezone.now() - found.looked_up_at < timedelta(seconds=10)
    assert (found.email, found.phone_number) == ("alice@example.com", "")
    assert found.sub == sub_of(people, "alice")
    assert not re.search(f"alice|{found.sub}", repr(found))
    pool = people.pool["USER_POOL_ID"]
    assert people.emulator.calls[:1] == [
        ("ListUsers", {"UserPoolId": pool, "Filter": 'username = "alice"'})
    ]


def sub_of(people, name):
    user = people.call("AdminGetUser", Username=name)
    return next(item["Value"] for item in user["UserAttributes"] if item["Name"] == "sub")


@pytest.mark.parametrize(
    ("identifier", "expected", "attribute"),
    [
        ("alice@example.com", "alice", "email"),
        ("ALICE@example.com", "alice", "email"),
        ("+15555550123", "bob", "phone_number"),
        (sub_of, "heidi", "sub"),
    ],
)
def test_a_user_is_found_by_the_attribute_whose_form_the_identifier_has(
    people, identifier, expected, attribute
):
    """
    ListUsers filters by one attribute at a time. The contact is tried first if people sign in with it, or else the
    username.
    """
    identifier = identifier if isinstance(identifier, str) else identifier(people, expected)
    by_username, by_attribute = f'username = "{identifier}"', f'{attribute} = "{identifier}"'
    assert get_service().find_user(username=identifier).username == expected
    is_contact = attribute != "sub"
    assert filters(people) == ([by_attribute] if is_contact else [by_username, by_attribute])
    without_rules(people)
    assert get_service().find_user(username=identifier).username == expected
    assert filters(people) == [by_username, by_attribute]


def filters(people):
    """Return the filters of the look-ups since the last call of this function."""
    found = [body["Filter"] for name, body in people.emulator.calls if name == "ListUsers"]
    people.emulator.calls.clear()
    return found


def without_rules(people):
    """Let the app have no permission to read the pool's rules."""
    get_service().forget_answers()
    people.emulator.fail_next("DescribeUserPool", "AccessDeniedException")


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, ()),
        ({"UsernameAttributes": ["email"]}, ("email",)),
        ({"AliasAttributes": ["preferred_username", "phone_number"]}, ("phone_number",)),
        ({"AliasAttributes": ["email", "phone_number"]}, ("phone_number", "email")),
    ],
)
def test_the_contacts_that_people_sign_in_with(members, expected):
    assert PoolRules.of(members).contact_names == expected


def test_a_contact_that_nobody_has_may_be_a_username(people):
    """Cognito refuses such a username only if it is a valid phone number or address."""
    people.add("+alice")
    assert get_service().find_user(username="+alice").username == "+alice"
    assert filters(people) == ['phone_number = "+alice"', 'username = "+alice"']


def test_a_contact_is_never_taken_for_a_federated_users_name(people):
    """The usernames of federated users may look like addresses, and anybody may sign up with such an address."""
    pool = people.pool["USER_POOL_ID"]
    name = "Other_frank@example.com"
    people.emulator.add_federated_user(pool, name, email="frank@example.com")
    people.add("mallory", email=name, email_verified="false")
    assert get_service().find_user(username=name).username == name


def test_a_contact_that_people_dont_sign_in_with_may_be_a_username(cognito_emulator, settings):
    """Anybody may have the address that is somebody else's username there."""
    pool = use_pool(settings, cognito_emulator, sensitive=False)
    add_user(cognito_emulator, pool, "alice@example.com")
    email = [{"Name": "email", "Value": "alice@example.com"}]
    user = {"UserPoolId": pool, "Username": "mallory", "UserAttributes": email}
    status, _ = cognito_emulator.handle("AdminCreateUser", user)
    assert status == 200
    found = get_service().find_user(username="alice@example.com")
    assert found.username == "alice@example.com"


@pytest.mark.parametrize(
    "identifier", ["nobody", "Alice", "nobody@example.com", "+49", "a-b-c-d-e", "ali", ""]
)
def test_a_part_of_a_name_finds_nobody(people, identifier):
    """
    An unknown name finds nobody either, nor does a username in another case, because ListUsers is
    case-sensitive.
    """
    with pytest.raises(exceptions.AccountRefused):
        get_service().find_user(username=identifier)


def use_pool(settings, emulator, *, sensitive):
    """Use a pool with or without a rule for case, and return its id."""
    rule = {} if sensitive is None else {"UsernameConfiguration": {"CaseSensitive": sensitive}}
    _, answer = emulator.handle("CreateUserPool", {"PoolName": "names", **rule})
    configure(settings, pool={"USER_POOL_ID": answer["UserPool"]["Id"]})
    return answer["UserPool"]["Id"]


def add_user(emulator, pool, name):
    status, _ = emulator.handle("AdminCreateUser", {"UserPoolId": pool, "Username": name})
    assert status == 200


@pytest.mark.parametrize("typed", ["alice", "Alice", "ALICE"])
def test_case_does_not_matter_in_a_pool_that_ignores_it(cognito_emulator, settings, typed):
    """ListUsers' filter is case-sensitive even there."""
    pool = use_pool(settings, cognito_emulator, sensitive=False)
    add_user(cognito_emulator, pool, "alice")
    assert get_service().find_user(username=typed).username == "alice"


def test_a_username_may_be_kept_as_it_was_typed_and_shown_in_lower_case(cognito_emulator, settings):
    """AWS doesn't document whether the filter compares with the name as typed or in lower case."""
    use_pool(settings, cognito_emulator, sensitive=False)
    cognito_emulator.fail_next("ListUsers", users("alice", attribute="username"))
    assert get_service().find_user(username="Alice").username == "alice"
    names = [name for name, _ in cognito_emulator.calls]
    assert names[-2:] == ["ListUsers", "DescribeUserPool"]


@pytest.mark.parametrize("sensitive", [True, None])
@pytest.mark.parametrize(
    ("kept", "typed", "error"),
    [
        ("alice", "Alice", exceptions.UserNotFoundAsTyped),
        ("Alice", "alice", exceptions.UserNotFound),
    ],
)
def test_case_matters_in_every_other_pool(
    cognito_emulator, settings, sensitive, kept, typed, error
):
    """
    Alice and alice are two people there. A pool made without a rule is case-sensitive. Staff who typed capital letters
    are told to check them.
    """
    pool = use_pool(settings, cognito_emulator, sensitive=sensitive)
    add_user(cognito_emulator, pool, kept)
    assert get_service().find_user(username=kept).username == kept
    with pytest.raises(exceptions.UserNotFound) as caught:
        get_service().find_user(username=typed)
    assert type(caught.value) is error
    cognito_emulator.fail_next("ListUsers", users(kept, attribute="username"))
    with pytest.raises(exceptions.UserNotFound):
        get_service().find_user(username=typed)


def test_two_people_in_a_pool_where_case_matters(cognito_emulator, settings):
    """Each is found by the exact name."""
    pool = use_pool(settings, cognito_emulator, sensitive=True)
    for name in ("alice", "Alice"):
        add_user(cognito_emulator, pool, name)
        assert get_service().find_user(username=name).username == name


@pytest.mark.requirement("G6")
def test_g6_the_other_case_of_a_lookalike_is_not_tried(cognito_emulator, settings):
    """The Kelvin sign is a k in lower case."""
    pool = use_pool(settings, cognito_emulator, sensitive=False)
    add_user(cognito_emulator, pool, "mike")
    with pytest.raises(exceptions.UserNotFound):
        get_service().find_user(username="Mi\u212ae")


def test_a_pools_rule_for_case_is_asked_for_once(cognito_emulator, settings):
    """The rule can't be changed. The pool isn't asked about a user whose name was typed exactly."""
    pool = use_pool(settings, cognito_emulator, sensitive=False)
    add_user(cognito_emulator, pool, "alice")
    asked = lambda: [name for name, _ in cognito_emulator.calls].count("DescribeUserPool")  # noqa: E731
    get_service().find_user(username="alice")
    assert asked() == 0
    for _ in range(3):
        get_service().find_user(username="ALICE")
    assert asked() == 1


def test_without_the_permission_the_name_must_be_exact(people, caplog):
    """The error tells staff to check the case. The pool isn't asked again."""
    people.emulator.fail_next("DescribeUserPool", "AccessDeniedException")
    service = made(people)
    for _ in range(2):
        with pytest.raises(exceptions.UserNotFoundAsTyped) as caught:
            service.find_user(username="Alice")
        assert caught.value.code == "user_not_found"
    assert service.find_user(username="alice").username == "alice"
    [record] = caplog.records
    assert (
        "operation=DescribeUserPool code=unavailable aws_code=AccessDenied" in record.getMessage()
    )
    assert record.getMessage().endswith(" hint=AWS_PERMISSIONS")


def test_after_an_outage_the_pool_is_asked_again(people, later):
    """A look-up half a minute later asks again, and one after that knows the answer."""
    people.emulator.fail_next("DescribeUserPool", Status(503, ""))
    service = made(people)
    for count in (1, 2, 2):
        with pytest.raises(exceptions.UserNotFoundAsTyped):
            service.find_user(username="Alice")
        assert described(people) == count
        later(31)


def users(*values, attribute="email", **more):
    """Return a page of ListUsers as Cognito could answer it."""
    return Junk(
        json.dumps(
            {
                "Users": [
                    {
                        "Username": value if attribute == "username" else f"user-{number}",
                        "UserStatus": "CONFIRMED",
                        "Enabled": True,
                        "UserCreateDate": 1_700_000_000,
                        "UserLastModifiedDate": 1_700_000_000,
                        **({} if value is None else {
                            "Attributes": [{"Name": attribute, "Value": value}]
                        }),
                    }
                    for number, value in enumerate(values)
                ],
                **more,
            }
        )
    )  # fmt: skip


def pages(people, *by_email):
    """Let the look-up by email find these pages."""
    for page in by_email:
        people.emulator.fail_next("ListUsers", page)


LOOKALIKES = [
    "m\u0131ke@example.org",
    "mi\u212ae@example.org",
    "\uff4dike@example.org",
    "mike@example.org ",
]


@pytest.mark.requirement("G6")
@pytest.mark.parametrize("lookalike", [*LOOKALIKES, None])
def test_g6_a_lookalike_is_somebody_else(people, lookalike):
    """Only the case of ASCII letters may differ, whatever Cognito takes for equal."""
    pages(people, users(lookalike))
    with pytest.raises(exceptions.UserNotFound):
        get_service().find_user(username="mike@example.org")


@pytest.mark.requirement("G6")
@pytest.mark.parametrize("lookalike", ["m\u0131ke@example.org", "mike@\u212aelvin.org"])
def test_g6_a_lookalike_finds_nobody(people, lookalike):
    """The other way round, the lookalike is what was typed."""
    pages(people, users("mike@example.org", "mike@kelvin.org"))
    with pytest.raises(exceptions.UserNotFound):
        get_service().find_user(username=lookalike)


@pytest.mark.requirement("G6")
def test_g6_a_user_is_found_among_lookalikes(people):
    """The case on record may be another one."""
    pages(people, users(*LOOKALIKES, "Mike@example.org"))
    assert get_service().find_user(username="mike@example.org").username == "user-4"


@pytest.mark.requirement("G6")
def test_g6_usernames_are_compared_as_well(people):
    """The first look-up of ListUsers is by username."""
    people.emulator.fail_next("ListUsers", users("m\u0131ke", attribute="username"))
    with pytest.raises(exceptions.UserNotFound):
        get_service().find_user(username="mike")


def test_two_users_are_ambiguous(people):
    """Two users can have the same email address, if it isn't verified."""
    for name in ("one", "two"):
        people.add(name, email="shared@example.com", email_verified="false")
    with pytest.raises(exceptions.AmbiguousUser):
        get_service().find_user(username="shared@example.com")


def test_pages_may_be_empty_and_have_a_token(people):
    """botocore's model says so; the look-up goes on."""
    people.emulator.options.list_starts_with_empty_page = True
    assert get_service().find_user(username="alice").username == "alice"
    tokens = [body.get("PaginationToken") for _, body in people.emulator.calls]
    assert tokens == [None, "after-0"]


def test_the_second_match_may_be_on_another_page(people):
    """Lookalikes on the first page don't end the look-up."""
    name = "mike@example.org"
    first = users(*LOOKALIKES, name, PaginationToken="next")
    pages(people, first, users(PaginationToken="more"), users(name))
    with pytest.raises(exceptions.AmbiguousUser):
        get_service().find_user(username=name)


def test_two_matches_end_the_look_up(people):
    """Another page can't change the answer."""
    pages(people, users("a@b.example", "a@b.example", PaginationToken="next"))
    with pytest.raises(exceptions.AmbiguousUser):
        get_service().find_user(username="a@b.example")
    assert len(people.emulator.calls) == 2


@pytest.mark.parametrize("name", ['a"b', "a\\b", 'a\\"b', 'a" or username = "alice', "a\\", '"'])
def test_quotes_in_a_name_are_escaped(people, name):
    """A name can't add a filter of its own."""
    if " " not in name:
        people.add(name, email_verified="true", email="quoted@example.com")
        assert get_service().find_user(username=name).username == name
    else:
        with pytest.raises(exceptions.UserNotFound):
            get_service().find_user(username=name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("alice", None),
        ("bob", None),
        ("heidi", None),
        ("carol", exceptions.NotActivated),
        ("dave", exceptions.NotConfirmed),
        ("erin", exceptions.UserDisabled),
        ("frank", exceptions.FederatedUser),
        ("grace", exceptions.NoVerifiedContact),
    ],
)
def test_a_users_state_tells_whether_a_reset_may_be_sent(people, name, expected):
    """A reset of the others would end the password, and no code would come."""
    assert get_service().find_user(username=name).refusal(get_service().pool_rules()) is expected


USER = PoolUser(
    username="alice",
    sub="6b1f…",
    email="alice@example.com",
    phone_number="",
    status="CONFIRMED",
    enabled=True,
    email_verified=True,
    phone_verified=False,
    created_at=timezone.now(),
    changed_at=timezone.now(),
    looked_up_at=timezone.now(),
)
RULES = PoolRules(
    is_case_sensitive=True, channels=PHONE_THEN_EMAIL, has_own_sender=False, excludes_mfa=False
)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        ({"email_verified": False, "phone_verified": True}, None),
        ({"email_verified": False}, exceptions.NoVerifiedContact),
        ({"enabled": False, "status": "EXTERNAL_PROVIDER"}, exceptions.UserDisabled),
        ({"status": "EXTERNAL_PROVIDER", "email_verified": False}, exceptions.FederatedUser),
        ({"status": "FORCE_CHANGE_PASSWORD", "email_verified": False}, exceptions.NotActivated),
        ({"status": "UNKNOWN"}, None),
    ],
)
@pytest.mark.parametrize("rules", [None, RULES], ids=["unknown rules", "rules"])
def test_the_first_reason_to_act_on_is_returned(changes, expected, rules):
    """Somebody who is disabled and federated has to be enabled first."""
    assert replace(USER, **changes).refusal(rules) is expected


@pytest.mark.parametrize(
    ("channels", "verified", "expected", "refusal"),
    [
        (PHONE_THEN_EMAIL, {"email", "phone"}, ("phone_number", "email"), None),
        (("email", "phone_number"), {"email", "phone"}, ("email", "phone_number"), None),
        (("email", "phone_number"), {"phone"}, ("phone_number",), None),
        (("phone_number",), {"email"}, (), exceptions.NoVerifiedContact),
        (("email",), {"phone"}, (), exceptions.NoVerifiedContact),
        (("email",), {"email"}, ("email",), None),
        ((), {"email", "phone"}, (), exceptions.RecoveryByAdminOnly),
        (None, {"email", "phone"}, ("phone_number", "email"), None),
        (None, set(), (), exceptions.NoVerifiedContact),
    ],
)
def test_a_code_goes_to_a_verified_contact_that_the_pool_allows(
    channels, verified, expected, refusal
):
    """AdminResetUserPassword could end the password of somebody whom no code can reach."""
    rules = None if channels is None else replace(RULES, channels=channels)
    user = replace(USER, email_verified="email" in verified, phone_verified="phone" in verified)
    assert user.channels(rules) == expected
    assert user.refusal(rules) is refusal


def test_a_user_has_the_times_of_the_list(people):
    """ListUsers shows when a user was created and last changed."""
    people.emulator.advance(600)
    people.call("AdminSetUserPassword", Username="alice", Password=NEW_PASSWORD, Permanent=True)
    found = get_service().find_user(username="alice")
    assert timedelta(seconds=500) < found.changed_at - found.created_at < timedelta(seconds=700)
    assert found.created_at.tzinfo is not None


# The rules of a pool


SMS_MFA = {
    "MfaConfiguration": "OPTIONAL",
    "SmsConfiguration": {"SnsCallerArn": "arn:aws:iam::123456789012:role/sms", "ExternalId": "x"},
}


def recovery(*names):
    ways = [{"Name": name, "Priority": number} for number, name in enumerate(names, 1)]
    return {"AccountRecoverySetting": {"RecoveryMechanisms": ways}}


@pytest.mark.parametrize(
    ("pool", "expected"),
    [
        ({}, (True, PHONE_THEN_EMAIL, True, False)),
        ({"UsernameConfiguration": {"CaseSensitive": False}}, (False, PHONE_THEN_EMAIL, True, False)),
        ({"UsernameConfiguration": {"CaseSensitive": True}}, (True, PHONE_THEN_EMAIL, True, False)),
        (recovery("verified_email"), (True, ("email",), True, False)),
        (recovery("verified_email", "verified_phone_number"), (True, ("email", "phone_number"), True, False)),
        (recovery("admin_only"), (True, (), False, False)),
        (recovery("verified_phone_number"), (True, ("phone_number",), False, False)),
        (CUSTOM_SENDER, (True, PHONE_THEN_EMAIL, False, False)),
        ({"AccountRecoverySetting": {}}, (True, PHONE_THEN_EMAIL, True, False)),
        ({"EmailConfiguration": {"EmailSendingAccount": "COGNITO_DEFAULT"}}, (True, PHONE_THEN_EMAIL, True, False)),
        ({"EmailConfiguration": {"EmailSendingAccount": "DEVELOPER"}}, (True, PHONE_THEN_EMAIL, False, False)),
        ({"EmailConfiguration": {}}, (True, PHONE_THEN_EMAIL, True, False)),
        (SMS_MFA, (True, PHONE_THEN_EMAIL, True, False)),
        ({**recovery("verified_email"), **SMS_MFA}, (True, ("email",), True, True)),
        ({**recovery("verified_email"), **SMS_MFA, "MfaConfiguration": "ON"}, (True, ("email",), True, True)),
    ],
)  # fmt: skip
def test_rules_are_read_from_the_pools_settings(cognito_emulator, settings, pool, expected):
    """Members that the pool doesn't have mean Cognito's defaults."""
    _, answer = cognito_emulator.handle("CreateUserPool", {"PoolName": "rules", **pool})
    configure(settings, pool={"USER_POOL_ID": answer["UserPool"]["Id"]})
    rules = get_service().pool_rules()
    assert rules == PoolRules(*expected)


def test_the_priority_orders_the_ways_to_recover():
    """Cognito doesn't promise to list the mechanisms in order."""
    ways = recovery("verified_email", "verified_phone_number")
    ways["AccountRecoverySetting"]["RecoveryMechanisms"].reverse()
    assert PoolRules.of(ways).channels == ("email", "phone_number")


@pytest.fixture
def later(monkeypatch):
    """Return a function that moves the clock of the process forward."""
    real, ahead = time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: real() + sum(ahead))
    return ahead.append


def described(people) -> int:
    """Return how often the pool was described."""
    return [name for name, _ in people.emulator.calls].count("DescribeUserPool")


def test_rules_are_stored_for_five_minutes(people, later):
    """A pool's settings can change, but not while one person is looked up."""
    service = made(people)
    assert service.pool_rules() is service.pool_rules() is not None
    later(290)
    assert service.pool_rules().channels == PHONE_THEN_EMAIL
    assert described(people) == 1
    people.call("UpdateUserPool", **recovery("verified_email"))
    later(20)
    assert service.pool_rules().channels == ("email",)
    assert described(people) == 2


@pytest.mark.parametrize("fault", [Status(503, ""), Reset(), "TooManyRequestsException", "ExpiredTokenException"], ids=repr)  # fmt: skip
def test_a_failure_keeps_the_last_known_rules_and_is_not_repeated_at_once(people, later, fault):
    """A panel asks for the rules more than once, and a run of many resets before each of them."""
    service = made(people)
    people.emulator.fail_next("DescribeUserPool", fault)
    assert [service.pool_rules(), service.pool_rules()] == [None, None]
    assert described(people) == 1
    later(31)
    rules = service.pool_rules()
    assert rules is not None
    later(301)
    people.emulator.fail_next("DescribeUserPool", fault)
    assert service.pool_rules() is service.pool_rules() is rules
    assert described(people) == 3


def test_a_missing_permission_is_remembered(people, later, caplog):
    """The site may not want to grant it. ``forget_answers()`` asks again."""
    people.emulator.fail_next("DescribeUserPool", "AccessDeniedException")
    service = made(people)
    assert service.pool_rules() is None
    later(1_000_000)
    assert service.pool_rules() is None
    assert (described(people), len(caplog.records)) == (1, 1)
    service.forget_answers()
    assert service.pool_rules() is not None


def test_rules_that_are_required_are_asked_for_at_once(people):
    """A reset without them could end the password of somebody who gets no code."""
    service = made(people)
    people.emulator.fail_next("DescribeUserPool", "TooManyRequestsException", times=2)
    assert service.pool_rules() is None
    with pytest.raises(exceptions.UpstreamThrottled):
        service.pool_rules(required=True)
    assert service.pool_rules() is None
    rules = service.pool_rules(required=True)
    assert service.pool_rules() is service.pool_rules(required=True) is rules is not None
    assert described(people) == 3


def test_rules_that_are_required_and_slow_are_unavailable(people, monkeypatch):
    monkeypatch.setattr("cognito_reset.cognito.service.RULES_WAIT_SECONDS", 0.01)
    people.emulator.fail_next("DescribeUserPool", Timeout(60))
    with pytest.raises(exceptions.Unavailable):
        made(people).pool_rules(required=True)
    people.emulator.close()


def test_rules_that_are_required_and_old_are_taken(people, later):
    service = made(people)
    rules = service.pool_rules()
    later(301)
    people.emulator.fail_next("DescribeUserPool", Reset())
    assert service.pool_rules(required=True) is rules is not None


def test_rules_that_are_required_need_no_permission(people):
    people.emulator.fail_next("DescribeUserPool", "AccessDeniedException")
    service = made(people)
    assert [service.pool_rules(required=True), service.pool_rules(required=True)] == [None, None]
    assert described(people) == 1


def test_a_slow_pool_does_not_make_look_ups_slow(people, monkeypatch):
    """The rules are only a help: the look-up goes on without them, and the next one doesn't wait."""
    monkeypatch.setattr("cognito_reset.cognito.service.RULES_WAIT_SECONDS", 0.01)
    people.emulator.fail_next("DescribeUserPool", Timeout(60))
    service = made(people)
    for _ in range(2):
        with pytest.raises(exceptions.UserNotFoundAsTyped):
            service.find_user(username="Alice")
    assert described(people) == 1
    people.emulator.close()


def test_callers_at_the_same_time_get_the_same_rules(people):
    """No lock is needed: each may ask, and the answers are equal."""
    service, start = made(people, calls=Calls(8)), threading.Barrier(8)

    def ask(_):
        start.wait(10)
        return service.pool_rules()

    with ThreadPoolExecutor(8) as executor:
        assert len(set(executor.map(ask, range(8)))) == 1
    assert service.pool_rules() is not None


# Lists of users


def names_of(people, **options):
    """Return the pages of a list as usernames."""
    token, listed = "", []
    while True:
        found, token = get_service().list_users(**options, page_token=token)
        listed.append([user.username for user in found])
        if not token:
            return listed


def test_users_are_listed_page_by_page(people):
    """Up to 60 of them are on a page (botocore's model)."""
    for number in range(60):
        people.add(f"user-{number}")
    people.emulator.calls.clear()
    first, second = names_of(people)
    assert len(first) == 60
    assert {"alice", "carol", "frank", "user-59"} <= {*first, *second}
    pool = people.pool["USER_POOL_ID"]
    [(_, one), (_, two)] = people.emulator.calls
    assert (one, set(two)) == ({"UserPoolId": pool}, {"UserPoolId", "PaginationToken"})


def test_a_filter_selects_users(people):
    """It is ListUsers' own."""
    wanted = 'cognito:user_status = "FORCE_CHANGE_PASSWORD"'
    assert names_of(people, filter=wanted) == [["carol"]]
    assert names_of(people, filter='email ^= "HEIDI@"') == [["heidi"]]
    assert names_of(people, filter='username = "nobody"') == [[]]


def test_the_members_of_a_group_are_listed_page_by_page(people):
    """ListUsersInGroup names its token differently, and takes no filter."""
    people.call("CreateGroup", GroupName="team")
    for number in range(61):
        people.add(f"user-{number}")
        people.call("AdminAddUserToGroup", Username=f"user-{number}", GroupName="team")
    people.emulator.calls.clear()
    first, second = names_of(people, group="team")
    assert (len(first), second) == (60, ["user-60"])
    pool = people.pool["USER_POOL_ID"]
    [(operation, one), (_, two)] = people.emulator.calls
    assert (operation, one) == ("ListUsersInGroup", {"UserPoolId": pool, "GroupName": "team"})
    assert set(two) == {"UserPoolId", "GroupName", "NextToken"}


def test_an_empty_page_may_have_a_token(people):
    """botocore's model says so."""
    people.emulator.options.list_starts_with_empty_page = True
    assert names_of(people, filter='username = "alice"') == [[], ["alice"]]


@pytest.mark.parametrize(
    "options", [{"group": "nowhere"}, {"filter": "status"}, {"filter": 'custom:team = "a"'}]
)
def test_a_wrong_selection_is_not_a_mistake_of_the_site(people, caplog, options):
    """Staff typed the group or the filter. The log has no CRITICAL record, and not what was typed."""
    caplog.set_level(logging.INFO, "cognito_reset")
    with pytest.raises(exceptions.SelectionInvalid):
        get_service().list_users(**options)
    [record] = caplog.records
    assert record.levelno == logging.INFO
    assert not re.search("nowhere|status|team", record.getMessage())


# What else staff may do


@pytest.mark.parametrize(
    ("method", "more", "operation", "body"),
    [
        ("resend_invitation", {"medium": "EMAIL"}, "AdminCreateUser", {"MessageAction": "RESEND", "DesiredDeliveryMediums": ["EMAIL"]}),
        ("resend_invitation", {"medium": "SMS", "client_metadata": {"language": "de"}}, "AdminCreateUser", {"MessageAction": "RESEND", "DesiredDeliveryMediums": ["SMS"], "ClientMetadata": {"language": "de"}}),
        ("enable_user", {}, "AdminEnableUser", {}),
        ("confirm_sign_up", {}, "AdminConfirmSignUp", {}),
        ("confirm_sign_up", {"client_metadata": {"language": "de"}}, "AdminConfirmSignUp", {"ClientMetadata": {"language": "de"}}),
    ],
)  # fmt: skip
def test_an_operation_of_staff_is_sent(people, method, more, operation, body):
    """A user in FORCE_CHANGE_PASSWORD has an invitation, and one in UNCONFIRMED a sign-up."""
    name = "dave" if operation == "AdminConfirmSignUp" else "carol"
    request_id = getattr(get_service(), method)(username=name, **more)
    assert re.fullmatch(AWS_REQUEST_ID, request_id)
    expected = {"UserPoolId": people.pool["USER_POOL_ID"], "Username": name, **body}
    assert people.emulator.calls == [(operation, expected)]


def test_an_invitation_has_a_new_temporary_password(people):
    """The old one ends."""
    for _ in range(2):
        get_service().resend_invitation(username="carol", medium="EMAIL")
    old, new = people.emulator.outbox[-2:]
    assert (new.kind, new.medium, new.destination) == ("invitation", "EMAIL", "carol@example.com")
    assert (people.can_sign_in("carol", new.code), people.can_sign_in("carol", old.code)) == (True, False)  # fmt: skip


def test_a_user_is_enabled_and_a_sign_up_confirmed(people):
    """AdminConfirmSignUp verifies no contact (botocore's model)."""
    get_service().enable_user(username="erin")
    assert people.can_sign_in("erin", PASSWORD)
    get_service().enable_user(username="erin")  # once more does no harm
    get_service().confirm_sign_up(username="dave")
    found = get_service().find_user(username="dave")
    assert (found.status, found.email_verified, found.phone_verified) == ("CONFIRMED", False, False)


@pytest.mark.parametrize(
    ("method", "username", "more", "expected"),
    [
        ("resend_invitation", "alice", {"medium": "EMAIL"}, exceptions.WrongState),
        ("resend_invitation", "nobody", {"medium": "EMAIL"}, exceptions.UserNotFound),
        ("enable_user", "nobody", {}, exceptions.UserNotFound),
        ("confirm_sign_up", "nobody", {}, exceptions.UserNotFound),
        ("confirm_sign_up", "alice", {}, exceptions.WrongState),
        ("confirm_sign_up", "carol", {}, exceptions.WrongState),
    ],
)
def test_an_operation_that_does_not_fit_the_state_is_refused(
    people, method, username, more, expected
):
    """Nothing is changed."""
    with pytest.raises(ResetError) as caught:
        getattr(get_service(), method)(username=username, **more)
    assert type(caught.value) is expected


# Deadlines, permits and the circuit breaker


def test_a_call_goes_on_after_the_wait(people, caplog):
    """None means that there is no answer yet; a failure is logged when it comes."""
    caplog.set_level(logging.INFO, "cognito_reset")
    patient = made(people)
    people.emulator.fail_next("ForgotPassword", Timeout(60))
    assert patient.request_code(username="alice", wait=0.01) is None
    assert caplog.records == []
    people.emulator.close()
    assert patient.calls.wait_until_idle(10)
    assert "operation=ForgotPassword code=maybe_sent aws_code=ReadTimeoutError" in caplog.text


def test_an_answer_within_the_wait_is_returned(people):
    """``wait`` is the longest time, not the shortest."""
    assert isinstance(get_service().request_code(username="alice", wait=10), Delivery)
    with pytest.raises(exceptions.UserNotFound):
        get_service().request_code(username="nobody", wait=10)


def test_a_password_policy_is_read_within_the_wait(people):
    """None means that there is no answer yet."""
    policy = get_service().password_policy(wait=10)
    assert policy is not None
    assert policy["MinimumLength"] >= 6
    people.emulator.fail_next("DescribeUserPool", Timeout(60))
    assert get_service().password_policy(wait=0.01) is None
    people.emulator.close()


@pytest.mark.requirement("C3")
@pytest.mark.parametrize(
    ("operation", "method", "more", "expected"),
    [
        ("ForgotPassword", "request_code", {}, exceptions.MaybeSent),
        (
            "ConfirmForgotPassword",
            "confirm",
            {"confirmation_code": "1", "password": "x"},
            exceptions.OutcomeUnknown,
        ),
        ("AdminResetUserPassword", "admin_reset", {}, exceptions.OutcomeUnknown),
        ("AdminCreateUser", "resend_invitation", {"medium": "EMAIL"}, exceptions.OutcomeUnknown),
        ("AdminEnableUser", "enable_user", {}, exceptions.OutcomeUnknown),
        ("AdminConfirmSignUp", "confirm_sign_up", {}, exceptions.OutcomeUnknown),
    ],
)
def test_c3_the_deadline_ends_the_wait_but_not_the_call(
    people, caplog, operation, method, more, expected
):
    """The caller learns that the outcome is unknown; the call holds its permit until it ends."""
    impatient = made(people, total_timeout=0.05, calls=Calls(1))
    _ = impatient.admin_client
    people.emulator.fail_next(operation, Timeout(60))
    with pytest.raises(expected) as caught:
        getattr(impatient, method)(username="alice", **more)
    assert caught.value.aws_code == "DeadlineExceeded"
    assert (caught.value.sent, caught.value.answered) == (True, False)
    assert f"operation={operation} " in caplog.text
    with pytest.raises(exceptions.Busy), impatient.permit():
        pass
    people.emulator.close()
    assert impatient.calls.wait_until_idle(10)
    with impatient.permit():
        pass


def test_a_late_success_is_reported(people, caplog):
    """The password was changed after all, so that somebody can be told and signed out."""
    impatient, code = made(people, total_timeout=0.05), people.code("alice")
    heard: list[str] = []
    people.emulator.fail_next("ConfirmForgotPassword", Trickle(seconds=0.3, interval=0.01))
    with pytest.raises(exceptions.OutcomeUnknown):
        impatient.confirm(
            username="alice",
            confirmation_code=code,
            password=NEW_PASSWORD,
            when_late=heard.append,
        )
    assert impatient.calls.wait_until_idle(10)
    [request_id] = heard
    assert re.fullmatch(AWS_REQUEST_ID, request_id)
    assert people.can_sign_in("alice", NEW_PASSWORD)


def test_a_success_in_time_is_not_late(people):
    """The result is returned to the caller."""
    code = people.code("alice")
    heard: list[str] = []
    request_id = get_service().confirm(
        username="alice", confirmation_code=code, password=NEW_PASSWORD, when_late=heard.append
    )
    assert wait_until_idle(10)
    assert (bool(request_id), heard) == (True, [])


@pytest.mark.requirement("C9")
def test_c9_without_a_permit_nothing_is_sent(people):
    """Public requests are refused at once; calls without a request wait for a while."""
    calls = Calls(1)
    full = made(people, calls=calls, total_timeout=0.05)
    with ThreadPoolExecutor(1) as executor, calls.permit():
        with pytest.raises(exceptions.Busy), full.permit():
            pass
        with pytest.raises(exceptions.Busy):
            executor.submit(full.request_code, username="alice").result(10)
        assert people.emulator.calls == []
        assert isinstance(made(people, calls=calls).request_code(username="alice"), Delivery)


@pytest.mark.requirement("C10")
@pytest.mark.parametrize(
    "fault", [Timeout(), Reset(), ConnectRefused(), Status(503, ""), Junk("<html>")], ids=repr
)
def test_c10_the_breaker_opens_when_cognito_does_not_answer(people, fault):
    """It opens after three calls. Then nothing is sent, and everybody gets the same error."""
    down = made(people)
    people.emulator.fail_next("ForgotPassword", fault, times=6)
    for _ in range(3):
        with pytest.raises(exceptions.Unavailable) as caught:
            down.request_code(username="alice")
        assert caught.value.answered is False
    count = len(people.emulator.calls)
    with pytest.raises(exceptions.CircuitOpen):
        down.confirm(username="alice", confirmation_code=CODE, password=NEW_PASSWORD)
    assert len(people.emulator.calls) == count
    assert down.admin_reset(username="alice")  # staff's operations have a breaker of their own


@pytest.mark.requirement("C10")
@pytest.mark.parametrize(
    "fault",
    [
        "TooManyRequestsException",
        "NotAuthorizedException",
        Error("BrandNewException"),
        Status(403, ""),
    ],
    ids=repr,
)
def test_c10_a_refusal_never_opens_the_breaker(people, fault):
    """A 4xx is an answer."""
    people.emulator.fail_next("ForgotPassword", fault, times=6)
    refusing = made(people)
    for _ in range(6):
        with pytest.raises(ResetError) as caught:
            refusing.request_code(username="alice")
        assert caught.value.answered is True


@pytest.mark.requirement("C10")
def test_c10_a_mistake_of_the_site_never_opens_the_breaker(people):
    """Cognito was not called."""
    broken = made(people, client_secret=failing)
    for _ in range(6):
        with pytest.raises(exceptions.Misconfigured):
            broken.request_code(username="alice")


@pytest.mark.requirement("C10")
def test_c10_failing_credentials_do_not_stop_the_public_operations(people):
    """The breaker of the signed client is another one."""
    people.emulator.fail_next("ListUsers", Error("InternalErrorException", "", 500), times=3)
    partly = made(people)
    for _ in range(3):
        with pytest.raises(exceptions.Unavailable):
            partly.find_user(username="alice")
    with pytest.raises(exceptions.CircuitOpen):
        partly.password_policy(wait=1)
    assert partly.request_code(username="alice")
    partly.forget_answers()
    assert partly.password_policy(wait=1)


# One service per process and pool


@pytest.mark.requirement("C8")
def test_c8_a_process_has_one_service_for_a_pool(cognito_emulator):
    """Clients are costly to make, and threads may share them."""
    assert get_service() is get_service("default")
    assert get_service("brand") is not get_service()
    assert get_service("brand") is get_service("brand")
    assert get_service("brand").client is not get_service().client


def test_c8_all_pools_share_the_permits(cognito_emulator, settings):
    """MAX_CONCURRENT_CALLS is for the process, whichever pool is asked for first."""
    assert get_service("brand").calls is get_service().calls
    configure(settings, MAX_CONCURRENT_CALLS=3)
    assert get_service().calls.limit == 3
    assert get_service("brand").calls is get_service().calls


@pytest.mark.requirement("C8")
def test_c8_many_threads_make_one_client(cognito_emulator):
    """The others wait for the first."""
    count = []

    def counted_client(pool: PoolSettings, *, signed: bool, **other: str) -> Any:
        count.append((pool.alias, signed))
        return make_client(pool, signed=signed, **other)

    start = threading.Barrier(16)

    def ask(_):
        start.wait(10)
        return get_service()

    with clients_made_by(counted_client), ThreadPoolExecutor(16) as executor:
        assert len(set(map(id, executor.map(ask, range(16))))) == 1
    assert count == [("default", False)]


def test_another_client_factory_is_used_for_a_time(people):
    """The test kit brings its clients so. Services with other clients are not used meanwhile."""
    before, made_clients = get_service(), []

    def own_client(pool: PoolSettings, *, signed: bool, **other: str) -> Any:
        made_clients.append(make_client(pool, signed=signed, **other))
        return made_clients[-1]

    with clients_made_by(own_client):
        service = get_service()
        assert service is get_service() is not before
        assert [service.client, service.admin_client] == made_clients
    assert get_service().client not in made_clients


def test_another_client_factory_closes_the_breakers(people):
    """Otherwise a test would begin with the outage of the previous test."""
    down = get_service()
    people.emulator.fail_next("ForgotPassword", Reset(), times=3)
    for _ in range(3):
        with pytest.raises(exceptions.MaybeSent):
            down.request_code(username="alice")
    with pytest.raises(exceptions.CircuitOpen):
        down.request_code(username="alice")
    with clients_made_by(make_client):
        pass
    assert down.request_code(username="alice")


def test_a_process_without_calls_is_idle():
    """It may not have made a call yet."""
    assert wait_until_idle(0)


@pytest.mark.parametrize(
    "change",
    [
        {"TOTAL_TIMEOUT_SECONDS": 15},
        {"CONNECT_TIMEOUT_SECONDS": 1},
        {"MAX_CONCURRENT_CALLS": 3},
        {"SERVICE_CLASS": OurService},
        {"pool": {"CLIENT_SECRET": "other" * 5}},
        {"pool": {"REGION": "eu-central-1"}},
    ],
    ids=str,
)
def test_a_changed_setting_makes_another_service(cognito_emulator, settings, change):
    """Therefore override_settings works."""
    before = get_service()
    configure(settings, **change)
    assert get_service() is not before
    assert get_service() is get_service()


@pytest.mark.requirement("C9")
def test_c9_a_service_is_made_of_the_settings(cognito_emulator, settings):
    """The clients have the settings' Region and timeouts, and a connection for each permit."""
    configure(
        settings,
        pool={"REGION": "eu-central-1"},
        CONNECT_TIMEOUT_SECONDS=1,
        TOTAL_TIMEOUT_SECONDS=5,
        MAX_CONCURRENT_CALLS=3,
        SERVICE_CLASS=f"{__name__}.OurService",
    )
    ours = get_service()
    assert type(ours) is OurService
    assert ours.calls.limit == 3
    for client in (ours.client, ours.admin_client):
        config: Any = client.meta.config
        assert client.meta.region_name == "eu-central-1"
        assert client.meta.endpoint_url == "https://cognito-idp.eu-central-1.amazonaws.com"
        assert (config.connect_timeout, config.read_timeout) == (1, 5)
        assert config.tcp_keepalive is True
        assert config.retries["mode"] == "standard"  # adaptive would make calls wait
        assert config.user_agent_extra.startswith("django-cognito-reset/")
    # Work in the background has permits of its own, and makes signed calls.
    assert ours.client.meta.config.max_pool_connections == 3
    assert ours.admin_client.meta.config.max_pool_connections == 6


def test_an_unknown_pool_is_a_mistake_of_the_site():
    """conf raises the error."""
    with pytest.raises(CognitoResetMisconfigured, match="no pool"):
        get_service("nowhere")


def test_a_client_that_cannot_be_made_is_a_mistake_of_the_site(settings, caplog, monkeypatch):
    """
    It is CRITICAL in the log, and people see no detail. As soon as it is corrected, the next request has
    a service.
    """
    configure(settings, TOTAL_TIMEOUT_SECONDS=14)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(exceptions.Misconfigured) as caught:
        get_service()
    assert caught.value.aws_code == "ProfileNotFound"
    assert caught.value.__context__ is None
    [record] = caplog.records
    assert record.levelno == logging.CRITICAL
    text = "operation=CreateClient code=unavailable aws_code=ProfileNotFound"
    assert text in record.getMessage()
    monkeypatch.delenv("AWS_PROFILE")
    assert isinstance(get_service(), CognitoService)


class BrokenService(CognitoService):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise LookupError(PASSWORD)


def test_a_service_class_that_raises_is_a_mistake_of_the_site(cognito_emulator, settings, caplog):
    """The log names the setting and the line."""
    configure(settings, SERVICE_CLASS=BrokenService)
    with pytest.raises(exceptions.Misconfigured) as caught:
        get_service()
    assert caught.value.__context__ is None
    [record] = caplog.records
    line = BrokenService.__init__.__code__.co_firstlineno + 1
    assert record.levelno == logging.CRITICAL
    text = "cognito_reset.site_code_failed setting=SERVICE_CLASS error=LookupError"
    assert record.getMessage() == f"{text} at={__file__}:{line}"
    assert PASSWORD not in caplog.text


# A mistake that only Cognito can tell


@pytest.mark.parametrize(
    ("pool", "gone", "call", "hint"),
    [
        ({"CLIENT_SECRET": "x" * 30}, "", "request_code", "CLIENT_SECRET"),
        ({"CLIENT_SECRET": None}, "", "request_code", "CLIENT_SECRET"),
        ({}, "DeleteUserPoolClient", "request_code", "CLIENT_ID,REGION"),
        ({}, "DeleteUserPool", "find_user", "USER_POOL_ID,REGION"),
    ],
)
def test_the_log_names_what_to_look_at(people, settings, caplog, pool, gone, call, hint):
    """The line contains no parameter, no secret and no text of Cognito."""
    if gone:
        people.call(gone, ClientId=people.pool["CLIENT_ID"])
    configure(settings, pool=pool)
    with pytest.raises(exceptions.Misconfigured) as caught:
        getattr(get_service(), call)(username="alice")
    assert caught.value.hint == hint
    [record] = caplog.records
    assert record.levelno == logging.CRITICAL
    assert record.getMessage().endswith(f" hint={hint}")
    ids = people.pool["CLIENT_ID"], people.pool["USER_POOL_ID"]
    assert not re.search("|".join(["alice", "xxx", *ids]), caplog.text)


def test_a_policy_laxer_than_the_pools_is_a_warning(people, caplog):
    """Our own rules accept the password, and Cognito refuses it."""
    code = people.code("alice")
    with pytest.raises(exceptions.PasswordInvalid):
        get_service().confirm(username="alice", confirmation_code=code, password="short")
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().endswith(" hint=PASSWORD_POLICY")


# Other code that listens to botocore's events


@pytest.fixture
def hooked(people) -> Any:
    """Return a function that makes a service where one of botocore's events raises."""
    client = make_client(conf.pool("default"), signed=False)

    def tracer(**_: Any) -> None:
        raise LookupError(PASSWORD)

    def hook(event: str) -> CognitoService:
        client.meta.events.register(f"{event}.cognito-identity-provider", tracer)
        client.meta.events.register(EVENT, Mount(people.emulator, client))
        return CognitoService(
            client,
            client_id=people.pool["CLIENT_ID"],
            client_secret=Secret(people.pool["CLIENT_SECRET"]),
            user_pool_id=people.pool["USER_POOL_ID"],
            make_admin_client=failing,
            calls=Calls(4),
            total_timeout=16,
        )

    hook.line = tracer.__code__.co_firstlineno + 1
    yield hook
    client.close()


@pytest.mark.parametrize(
    "event", ["provide-client-params", "before-parameter-build", "before-call", "before-send"]
)
@pytest.mark.parametrize("method", ["request_code", "confirm"])
def test_what_a_tracer_raises_before_the_request_was_not_sent(
    people, hooked, caplog, event, method
):
    """No code is on its way, no attempt is lost, and Cognito has no outage."""
    more = {"confirmation_code": CODE, "password": NEW_PASSWORD} if method == "confirm" else {}
    service = hooked(event)
    for _ in range(4):  # the breaker stays closed
        with pytest.raises(exceptions.Misconfigured) as caught:
            getattr(service, method)(username="alice", **more)
    assert (caught.value.sent, caught.value.answered) == (False, None)
    assert people.emulator.calls == []
    message = caplog.records[0].getMessage()
    assert f"aws_code=LookupError aws_request_id= at={__file__}:{hooked.line}" in message
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize("event", ["response-received", "before-parse", "after-call"])
def test_what_a_tracer_raises_after_the_request_is_unknown(people, hooked, caplog, event):
    """Cognito may have sent a code."""
    if event == "before-parse" and not HAS_BEFORE_PARSE:
        pytest.skip("this botocore has no such event")
    with pytest.raises(exceptions.MaybeSent) as caught:
        hooked(event).request_code(username="alice")
    assert (caught.value.sent, caught.value.answered) == (True, False)
    assert len(people.emulator.calls) == 1
    assert f" at={__file__}:{hooked.line}" in caplog.text
    assert PASSWORD not in caplog.text


# The same refusal for many people


@pytest.fixture
def no_runs(monkeypatch):
    monkeypatch.setattr(refusals, "_runs", {})


def refuse(people, names, *, code="InvalidParameterException", text="A new reason.", method="request_code"):  # fmt: skip
    more = {"confirmation_code": CODE, "password": NEW_PASSWORD} if method == "confirm" else {}
    operation = {"request_code": "ForgotPassword", "confirm": "ConfirmForgotPassword"}[method]
    for name in names:
        people.emulator.fail_next(operation, Error(code, text))
        with pytest.raises(ResetError):
            getattr(get_service(), method)(username=name, **more)


def warnings(caplog):
    return [r.getMessage() for r in caplog.records if "many_refusals" in r.getMessage()]


FIVE = ["one", "two", "three", "four", "five"]


@pytest.mark.parametrize("method", ["request_code", "confirm"])
@pytest.mark.parametrize(
    "code", ["InvalidParameterException", "NotAuthorizedException", "BrandNewException"]
)
def test_an_unknown_refusal_of_many_people_is_a_warning(people, no_runs, caplog, method, code):
    """It is logged once, without the text and the names."""
    refuse(people, FIVE[:4], code=code, method=method)
    assert warnings(caplog) == []
    refuse(people, [*FIVE[4:], "six", "seven"], code=code, method=method)
    operation = "ForgotPassword" if method == "request_code" else "ConfirmForgotPassword"
    expected = f"cognito_reset.many_refusals operation={operation} aws_code={code} people=5"
    assert warnings(caplog) == [expected]
    assert not re.search("reason|seven", caplog.text)
    assert not re.search("reason|seven", str(refusals._runs))


def test_many_refusals_of_one_person_are_not_logged(people, no_runs, caplog):
    """This holds however often Cognito refuses the same person."""
    refuse(people, ["one"] * 8)
    assert warnings(caplog) == []


def test_a_success_or_another_reason_ends_a_run_of_refusals(people, no_runs, caplog):
    """The count begins again."""
    refuse(people, FIVE[:4])
    get_service().request_code(username="alice")
    refuse(people, FIVE[:4])
    refuse(people, ["six"], text="Another reason.")
    refuse(people, FIVE[4:])
    assert warnings(caplog) == []


def test_a_known_refusal_is_not_counted(people, no_runs, caplog):
    """The table has a row for these, and some people have such an account."""
    refuse(people, FIVE, text="Cannot reset password for the user as there is no registered")
    refuse(people, FIVE, code="NotAuthorizedException", text="User is disabled")
    refuse(people, FIVE, code="LimitExceededException")
    refuse(people, FIVE, code="403")
    assert (warnings(caplog), refusals._runs) == ([], {})


# Secrets


@pytest.mark.requirement("H5")
def test_h5_a_services_repr_has_no_secret(people):
    """Its attributes have no secret, either. An error tracker may show them."""
    service = get_service()
    assert people.pool["CLIENT_SECRET"] not in f"{service!r} {vars(service)}"


def confirm_as_a_view_does(kind):
    """Hold no plain string, as the app's views don't; ``kind`` makes one for the call alone."""
    get_service().confirm(
        username="alice", confirmation_code=kind(CODE), password=kind(NEW_PASSWORD)
    )


FAULTS = [
    *map(Error, ("CodeMismatchException", "InvalidPasswordException", "BrandNewException")),
    Timeout(),
    None,
]


@pytest.mark.requirement("H1")
@pytest.mark.parametrize("fault", FAULTS, ids=str)
@pytest.mark.parametrize("kind", [str, Secret])
def test_h1_an_error_report_shows_neither_password_nor_code(people, fault, kind):
    """Django's report to ADMINS has the locals of all frames of the traceback."""
    if fault is not None:
        people.emulator.fail_next("ConfirmForgotPassword", fault)
    with pytest.raises(ResetError) as caught:
        confirm_as_a_view_does(kind)
    error = caught.value
    reporter = ExceptionReporter(
        RequestFactory().post("/"), type(error), error, error.__traceback__
    )
    report = reporter.get_traceback_html() + reporter.get_traceback_text()
    assert "confirm_as_a_view_does" in report
    assert NEW_PASSWORD not in report
    assert CODE not in report


@pytest.mark.requirement("H5")
@pytest.mark.parametrize("kind", [str, Secret])
@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_h5_an_error_has_no_frame_of_the_thread_and_no_secret(people, fault, kind):
    """A tracker keeps the locals of all frames, and follows context and cause."""
    if fault is not None:
        people.emulator.fail_next("ConfirmForgotPassword", fault)
    with pytest.raises(ResetError) as caught:
        confirm_as_a_view_does(kind)
    error = caught.value
    frames = traceback.extract_tb(error.__traceback__)
    assert not [frame for frame in frames if "botocore" in frame.filename]
    assert not [frame for frame in frames if frame.filename.endswith(("/calls.py", "/client.py"))]
    assert (error.__context__, error.__cause__) == (None, None)
    shown = "".join(
        traceback.TracebackException.from_exception(error, capture_locals=True).format()
    )
    assert "<Secret>" in shown
    assert NEW_PASSWORD not in shown
    assert CODE not in shown
    assert not hasattr(error, "__notes__")


@pytest.mark.requirement("H2")
def test_h2_only_our_calls_are_silent_at_debug(people, caplog):
    """botocore logs what other code of the site does, as usual."""
    caplog.set_level(logging.DEBUG)
    code = people.code("alice")
    get_service().confirm(username="alice", confirmation_code=code, password=NEW_PASSWORD)
    assert NEW_PASSWORD not in caplog.text
    assert code not in caplog.text
    botocore_said = [r for r in caplog.records if r.name.startswith(("botocore", "urllib3"))]
    assert [r for r in botocore_said if r.threadName == THREAD_NAME] == []
    get_service().admin_client.list_users(UserPoolId=people.pool["USER_POOL_ID"])
    assert any(r.name == "botocore.endpoint" for r in caplog.records)


@pytest.mark.requirement("H2")
def test_h2_what_is_worse_than_debug_is_logged(people, caplog):
    """Only botocore's DEBUG records have parameters in them."""
    caplog.set_level(logging.DEBUG)

    def secret() -> str:  # called in the thread of a call
        logging.getLogger("botocore.endpoint").debug("secret")
        logging.getLogger("botocore.endpoint").info("news")
        logging.getLogger("urllib3.connectionpool").warning("trouble")
        logging.getLogger("site").debug("own")
        return str(people.pool["CLIENT_SECRET"])

    assert made(people, client_secret=secret).request_code(username="alice")
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["news", "trouble", "own"]
