"""The service without a network: what it sends, what it answers, and that it is one per process."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import logging
import re
import threading
import time
import traceback
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import botocore.session
import pytest
from django.test import RequestFactory
from django.utils import timezone
from django.views.debug import ExceptionReporter
from django.views.decorators.debug import sensitive_variables

from cognito_reset.cognito import errors as exceptions
from cognito_reset.cognito import service
from cognito_reset.cognito.errors import CognitoResetMisconfigured, ResetError
from cognito_reset.cognito.service import Calls, CognitoService, Delivery, PoolUser, get_service
from cognito_reset.testing import Junk, Timeout
from tests.people import NEW_PASSWORD, PASSWORD

MODEL: Any = botocore.session.get_session().get_service_model("cognito-idp")
AWS_REQUEST_ID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
FAMILY = {"client_metadata": {"language": "de"}, "analytics_endpoint_id": "endpoint"}
CONTEXT = {"encoded_data": "device", "ip_address": "192.0.2.1"}
CODE = "739184"


class OurService(CognitoService):
    """A site's own."""


def configure(settings, *, pool=None, **options):
    """Change some of COGNITO_RESET, and some of its default pool."""
    values = settings.COGNITO_RESET
    pools = {**values["POOLS"], "default": {**values["POOLS"]["default"], **(pool or {})}}
    settings.COGNITO_RESET = {**values, "POOLS": pools, **options}


def made(people, **options) -> CognitoService:
    """A service of one's own on the process's clients."""
    shared = get_service()
    options = {
        "client_id": people.pool["CLIENT_ID"],
        "client_secret": people.pool["CLIENT_SECRET"],
        "user_pool_id": people.pool["USER_POOL_ID"],
        "make_admin_client": lambda: shared.admin_client,
        **options,
    }
    return CognitoService(shared.client, **options)


def sent(people) -> Any:
    """The body of the last call."""
    return people.emulator.calls[-1][1]


def settle(made: CognitoService) -> None:
    """Wait until no call is running."""
    for _ in range(made._calls.limit):
        assert made._calls._free.acquire(timeout=10)
    for _ in range(made._calls.limit):
        made._calls._free.release()


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
    """The code and the password beside them."""
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
def test_what_is_not_given_is_left_out(people, nothing):
    """A member without a value isn't sent."""
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
def test_half_of_the_context_is_sent_alone(people, name, value):
    """One member of UserContextData doesn't bring an empty other along."""
    get_service().request_code(username="alice", **{name: value})
    assert list(sent(people)["UserContextData"].values()) == [value]


def test_admin_reset_sends_the_pool_and_the_sites_metadata(people):
    """AdminResetUserPassword has no SecretHash, and ClientMetadata only where there is some."""
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

VECTORS = [  # by openssl dgst -sha256 -hmac example-client-secret -binary | base64
    ("alice", "HP0HWmKpUgoAE6CfY7Yv47vDEVFNCHWK5QpFQ9anleA="),
    ("Zoë 🔑", "lU6C8b0atBEeccVnMiMzT1HCJaccaQ4n2VcC09AKmXA="),
    ("alice@example.com", "i19eT6NMUyqvyS3iPRFnTcYkMU23s7G0qq/WvnEt+kQ="),
]


@pytest.mark.parametrize(("username", "expected"), VECTORS)
def test_c13_the_secret_hash_is_awss_algorithm(people, username, expected):
    """C13: base64 of HMAC-SHA256 over username and client id, keyed by the secret."""
    made_of = made(people, client_id="1example23456789", client_secret="example-client-secret")
    with pytest.raises(ResetError):
        made_of.request_code(username=username)
    assert sent(people)["SecretHash"] == expected


@pytest.mark.parametrize("username", ["alice", "alice@example.com", "ALICE@example.com", "heidi "])
def test_c13_the_secret_hash_is_over_exactly_what_is_sent(people, username):
    """C13: alias or not, known or not, and in the case in which it was typed."""
    try:
        get_service().request_code(username=username)
    except ResetError as error:
        assert username not in ("alice", "alice@example.com"), error  # noqa: PT017
    key = people.pool["CLIENT_SECRET"].encode()
    message = (username + people.pool["CLIENT_ID"]).encode()
    expected = base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()
    assert (sent(people)["Username"], sent(people)["SecretHash"]) == (username, expected)


def test_c13_a_callable_secret_is_asked_for_each_request(people):
    """C13: so that a rotation needs no restart."""
    secrets = iter(["wrong", people.pool["CLIENT_SECRET"]])
    rotated = made(people, client_secret=lambda: next(secrets))
    with pytest.raises(exceptions.Misconfigured):
        rotated.request_code(username="alice")
    assert isinstance(rotated.request_code(username="alice"), Delivery)


@pytest.mark.parametrize("secret", [None, "", lambda: None, lambda: ""], ids=range(4))
def test_c13_a_client_without_a_secret_sends_no_hash(people, secret):
    """C13: and Cognito says so where the client has one: the site's mistake."""
    with pytest.raises(exceptions.Misconfigured):
        made(people, client_secret=secret).request_code(username="alice")
    assert "SecretHash" not in sent(people)


def failing():
    raise ValueError(f"the vault is shut: {PASSWORD}")


@pytest.mark.parametrize(
    ("secret", "name"), [(failing, "ValueError"), (lambda: b"bytes", "AttributeError")]
)
def test_c13_a_failing_callable_is_the_sites_mistake(people, caplog, secret, name):
    """C13: said without detail, logged without detail, and nothing is sent."""
    with pytest.raises(exceptions.Misconfigured) as caught:
        made(people, client_secret=secret).request_code(username="alice")
    assert caught.value.aws_code == name
    assert people.emulator.calls == []
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]
    assert f"operation=ForgotPassword code=unavailable aws_code={name}" in caplog.text
    assert PASSWORD not in caplog.text


# What comes back


def test_a_delivery_is_what_cognito_says(people):
    """Masked, with the medium and the attribute, and the request id for support."""
    delivery = get_service().request_code(username="alice")
    assert isinstance(delivery, Delivery)
    assert (delivery.medium, delivery.attribute) == ("EMAIL", "email")
    assert re.fullmatch(r"a\*+@e\*+", delivery.destination)
    assert re.fullmatch(AWS_REQUEST_ID, delivery.request_id)


def test_a_delivery_may_lack_a_detail(people):
    """A member that isn't there is empty."""
    people.emulator.fail_next("ForgotPassword", Junk('{"CodeDeliveryDetails": {}}'))
    delivery = get_service().request_code(username="alice")
    assert isinstance(delivery, Delivery)
    assert (delivery.destination, delivery.medium, delivery.attribute) == ("", "", "")


def test_the_others_answer_the_request_id(people):
    """Which is all that Cognito says."""
    code = people.code("alice")
    answers = [
        get_service().confirm(username="alice", confirmation_code=code, password=NEW_PASSWORD),
        get_service().admin_reset(username="alice"),
        get_service().sign_out_everywhere(username="alice"),
    ]
    for answer in answers:
        assert re.fullmatch(AWS_REQUEST_ID, answer)
    assert len(set(answers)) == 3


def test_the_password_is_changed_and_exactly_so(people):
    """G2: what was given is what signs in."""
    password = "x pässword 🔑 Y1!"
    get_service().confirm(
        username="alice", confirmation_code=people.code("alice"), password=password
    )
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
def test_refusals_are_of_our_family(people, caplog, method, username, expected):
    """And are logged with Cognito's name and request id, and nobody's username."""
    caplog.set_level(logging.INFO, "cognito_reset")
    with pytest.raises(ResetError) as caught:
        getattr(get_service(), method)(username=username)
    assert type(caught.value) is expected
    [record] = [
        record for record in caplog.records if record.name == "cognito_reset.cognito.service"
    ]
    assert record.levelno == expected.level
    assert re.fullmatch(
        rf"cognito_reset\.upstream_error operation=\w+ code={expected.code} "
        rf"aws_code=\w+Exception aws_request_id={AWS_REQUEST_ID}",
        record.getMessage(),
    )
    assert not re.search("erin|nobody|frank", record.getMessage())


def test_a_service_without_a_signed_client_says_so(people):
    """Staff's features need credentials; the public ones work without."""
    public = made(people, make_admin_client=None)
    assert isinstance(public.request_code(username="alice"), Delivery)
    with pytest.raises(exceptions.Misconfigured):
        public.admin_reset(username="alice")
    with pytest.raises(CognitoResetMisconfigured):
        _ = public.admin_client


def test_a_signed_client_that_cannot_be_made_is_the_sites_mistake(people):
    """Nothing was sent, so the outcome isn't unknown."""
    broken = made(people, make_admin_client=failing)
    with pytest.raises(exceptions.Misconfigured) as caught:
        broken.admin_reset(username="alice")
    assert caught.value.aws_code == "ValueError"


def test_the_signed_client_is_made_when_it_is_needed_and_once(people):
    """32 threads, one client."""
    shared = get_service().admin_client
    count = []
    two = threading.Barrier(2)

    def make():
        count.append(1)
        with contextlib.suppress(threading.BrokenBarrierError):
            two.wait(0.1)  # for somebody who should not come
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
    """ListUsers, not AdminGetUser, which would make the user a billed one."""
    found = get_service().find_user(username="alice")
    assert (found.username, found.status, found.enabled) == ("alice", "CONFIRMED", True)
    assert (found.email_verified, found.phone_verified) == (True, False)
    assert timezone.now() - found.looked_up_at < timedelta(seconds=10)
    pool = people.pool["USER_POOL_ID"]
    assert people.emulator.calls == [
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
def test_a_user_is_found_by_what_the_identifier_has_the_form_of(
    people, identifier, expected, attribute
):
    """By username first, then by one attribute: ListUsers takes one at a time."""
    identifier = identifier if isinstance(identifier, str) else identifier(people, expected)
    people.emulator.calls.clear()
    assert get_service().find_user(username=identifier).username == expected
    assert [body["Filter"] for _, body in people.emulator.calls] == [
        f'username = "{identifier}"',
        f'{attribute} = "{identifier}"',
    ]


@pytest.mark.parametrize(
    "identifier", ["nobody", "Alice", "nobody@example.com", "+49", "a-b-c-d-e", "ali", ""]
)
def test_who_is_not_there_is_not_found(people, identifier):
    """Nor is a part of a name, or the name in another case: usernames are case-sensitive there."""
    with pytest.raises(exceptions.AccountRefused):
        get_service().find_user(username=identifier)


def users(*values, attribute="email", **more):
    """A page of ListUsers, of users that Cognito could answer."""
    return Junk(
        json.dumps(
            {
                "Users": [
                    {
                        "Username": value if attribute == "username" else f"user-{number}",
                        "UserStatus": "CONFIRMED",
                        "Enabled": True,
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
    """Nobody has the username; the look-up by email answers these pages."""
    people.emulator.fail_next("ListUsers", users())
    for page in by_email:
        people.emulator.fail_next("ListUsers", page)


LOOKALIKES = [
    "m\u0131ke@example.org",
    "mi\u212ae@example.org",
    "\uff4dike@example.org",
    "mike@example.org ",
]


@pytest.mark.parametrize("lookalike", [*LOOKALIKES, None])
def test_g6_a_lookalike_is_somebody_else(people, lookalike):
    """G6: whatever Cognito or its replacement takes for equal, what differs beyond ASCII's case isn't."""
    pages(people, users(lookalike))
    with pytest.raises(exceptions.UserNotFound):
        get_service().find_user(username="mike@example.org")


@pytest.mark.parametrize("lookalike", ["m\u0131ke@example.org", "mike@\u212aelvin.org"])
def test_g6_nor_is_it_found_by_who_is_alike(people, lookalike):
    """G6: the other way round."""
    pages(people, users("mike@example.org", "mike@kelvin.org"))
    with pytest.raises(exceptions.UserNotFound):
        get_service().find_user(username=lookalike)


def test_g6_the_one_among_lookalikes_is_found(people):
    """G6: and the value on record is what comes back."""
    pages(people, users(*LOOKALIKES, "Mike@example.org"))
    assert get_service().find_user(username="mike@example.org").username == "user-4"


def test_g6_a_username_is_compared_too(people):
    """G6: by ListUsers' first look-up."""
    people.emulator.fail_next("ListUsers", users("m\u0131ke", attribute="username"))
    with pytest.raises(exceptions.UserNotFound):
        get_service().find_user(username="mike")


def test_two_users_are_ambiguous(people):
    """Nobody is reset for another: an email address that isn't verified can be two users'."""
    for name in ("one", "two"):
        people.add(name, email="shared@example.com", email_verified="false")
    with pytest.raises(exceptions.AmbiguousUser):
        get_service().find_user(username="shared@example.com")


def test_pages_may_be_empty_and_have_a_token(people):
    """[model]: the look-up goes on."""
    people.emulator.options.list_starts_with_empty_page = True
    assert get_service().find_user(username="alice").username == "alice"
    tokens = [body.get("PaginationToken") for _, body in people.emulator.calls]
    assert tokens == [None, "after-0"]


def test_the_second_one_may_be_on_another_page(people):
    """Lookalikes on the first page don't end the look-up."""
    name = "mike@example.org"
    first = users(*LOOKALIKES, name, PaginationToken="next")
    pages(people, first, users(PaginationToken="more"), users(name))
    with pytest.raises(exceptions.AmbiguousUser):
        get_service().find_user(username=name)


def test_two_are_enough(people):
    """No page is asked for that can't change the answer."""
    pages(people, users("a@b.example", "a@b.example", PaginationToken="next"))
    with pytest.raises(exceptions.AmbiguousUser):
        get_service().find_user(username="a@b.example")
    assert len(people.emulator.calls) == 2


@pytest.mark.parametrize("name", ['a"b', "a\\b", 'a\\"b', 'a" or username = "alice', "a\\", '"'])
def test_quotes_in_a_name_are_no_filter(people, name):
    """A name can't end the filter's text and begin one of its own."""
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
def test_a_users_state_says_whether_a_reset_may_be_sent(people, name, expected):
    """A reset of one of these would end the password, and no code would come."""
    assert get_service().find_user(username=name).refusal is expected


USER = PoolUser(
    username="alice",
    status="CONFIRMED",
    enabled=True,
    email_verified=True,
    phone_verified=False,
    looked_up_at=timezone.now(),
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
def test_the_reason_is_the_one_to_act_on(changes, expected):
    """Who is disabled and federated has to be enabled first."""
    assert replace(USER, **changes).refusal is expected


# Time and room


def test_a_call_goes_on_after_the_wait(people, caplog):
    """None means that no answer is known yet; what the call finds is logged."""
    caplog.set_level(logging.INFO, "cognito_reset")
    patient = made(people, calls=Calls(1))
    people.emulator.fail_next("ForgotPassword", Timeout(60))
    assert patient.request_code(username="alice", wait=0.01) is None
    assert caplog.records == []
    people.emulator.close()
    settle(patient)
    assert "operation=ForgotPassword code=unavailable aws_code=ReadTimeoutError" in caplog.text


def test_an_answer_within_the_wait_is_the_answer(people):
    """``wait`` is the longest, not the shortest time."""
    assert isinstance(get_service().request_code(username="alice", wait=10), Delivery)
    with pytest.raises(exceptions.UserNotFound):
        get_service().request_code(username="nobody", wait=10)


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
    ],
)
def test_c3_the_deadline_ends_the_wait_and_not_the_call(
    people, caplog, operation, method, more, expected
):
    """C3: the caller hears that the outcome is unknown; the thread stays taken until the call ends."""
    impatient = made(people, total_timeout=0.05, calls=Calls(1))
    _ = impatient.admin_client
    people.emulator.fail_next(operation, Timeout(60))
    with pytest.raises(expected) as caught:
        getattr(impatient, method)(username="alice", **more)
    assert caught.value.aws_code == "DeadlineExceeded"
    assert f"operation={operation} " in caplog.text
    with pytest.raises(exceptions.Busy):
        impatient.request_code(username="alice")
    people.emulator.close()
    settle(impatient)
    assert impatient._calls.submit(lambda: "free").result(10) == "free"


def test_c9_a_full_house_is_busy_at_once(people, caplog):
    """C9: no queue; and there is room again for each call that has ended."""
    calls = Calls(2)
    gates = [threading.Event(), threading.Event()]
    futures = [calls.submit(partial(gate.wait, 10)) for gate in gates]
    start = time.monotonic()
    with pytest.raises(exceptions.Busy) as caught:
        made(people, calls=calls).request_code(username="alice")
    assert time.monotonic() - start < 2
    assert caught.value.retry_after == 5
    assert people.emulator.calls == []
    assert "cognito_reset.busy: all 2 threads are calling Cognito" in caplog.text
    gates[0].set()
    assert futures[0].result(10)
    assert isinstance(made(people, calls=calls).request_code(username="alice"), Delivery)
    gates[1].set()
    assert futures[1].result(10)


@pytest.mark.parametrize("attempt", range(3))
def test_a_thread_that_cannot_be_started_is_busy(people, attempt):
    """The process is about to end, say: nothing is sent, and the room isn't lost."""
    calls = Calls(1)
    calls._executor.shutdown()
    for _ in range(attempt + 1):
        with pytest.raises(exceptions.Busy):
            made(people, calls=calls).request_code(username="alice")
    assert calls._free.acquire(blocking=False)
    assert people.emulator.calls == []


def test_a_service_has_eight_threads_of_its_own_by_default(people):
    """Where nobody gives it any to share."""
    assert made(people)._calls.limit == 8


# One per process and pool


def test_c8_a_process_has_one_service_for_a_pool(cognito_emulator):
    """C8: clients are costly to make, and safe to share among threads."""
    assert get_service() is get_service("default")
    assert get_service("brand") is not get_service()
    assert get_service("brand") is get_service("brand")
    assert get_service("brand").client is not get_service().client


def test_c8_all_pools_share_the_threads(cognito_emulator, settings):
    """MAX_CONCURRENT_CALLS is the process's, whichever pool is asked for first."""
    assert get_service("brand")._calls is get_service()._calls
    configure(settings, MAX_CONCURRENT_CALLS=3)
    assert get_service()._calls.limit == 3
    assert get_service("brand")._calls is get_service()._calls


def test_c8_many_threads_make_one_client(cognito_emulator, monkeypatch):
    """C8: whoever comes second waits for the first."""
    monkeypatch.setattr(service, "_services", {})
    real, count = service._make_client, []

    def make(settings, *, signed):
        count.append(settings.alias)
        return real(settings, signed=signed)

    monkeypatch.setattr(service, "_make_client", make)
    start = threading.Barrier(16)

    def ask(_):
        start.wait(10)
        return get_service()

    with ThreadPoolExecutor(16) as executor:
        assert len(set(map(id, executor.map(ask, range(16))))) == 1
    assert count == ["default"]


@pytest.mark.parametrize(
    "change",
    [
        {"TOTAL_TIMEOUT_SECONDS": 15},
        {"CONNECT_TIMEOUT_SECONDS": 1},
        {"MAX_CONCURRENT_CALLS": 3},
        {"SERVICE_CLASS": OurService},
        {"pool": {"CLIENT_SECRET": "other"}},
        {"pool": {"REGION": "eu-central-1"}},
    ],
    ids=str,
)
def test_a_changed_setting_makes_another_service(cognito_emulator, settings, change):
    """override_settings works here, too."""
    before = get_service()
    configure(settings, **change)
    assert get_service() is not before
    assert get_service() is get_service()


def test_what_a_service_is_made_of(cognito_emulator, settings):
    """The client has the settings' Region, timeouts and as many connections as threads (C9)."""
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
    assert ours._calls.limit == 3
    for client in (ours.client, ours.admin_client):
        config: Any = client.meta.config
        assert client.meta.region_name == "eu-central-1"
        assert client.meta.endpoint_url == "https://cognito-idp.eu-central-1.amazonaws.com"
        assert (config.connect_timeout, config.read_timeout) == (1, 5)
        assert config.max_pool_connections == 3
        assert config.tcp_keepalive is True
        assert config.retries["mode"] == "standard"  # adaptive would make calls wait
        assert config.user_agent_extra.startswith("django-cognito-reset/")


def test_a_pool_that_is_not_there_is_a_mistake_of_the_sites():
    """Said by conf, in its own words."""
    with pytest.raises(CognitoResetMisconfigured, match="no pool"):
        get_service("nowhere")


@pytest.mark.parametrize(
    ("region", "name"),
    [("eu west 1", "InvalidRegionError"), ("-", "InvalidRegionError"), (5, "TypeError")],
)
def test_a_bad_region_is_a_mistake_of_the_sites(settings, caplog, region, name):
    """Never a 500 with detail: unavailable for people, CRITICAL in the log."""
    configure(settings, pool={"REGION": region})
    with pytest.raises(exceptions.Misconfigured) as caught:
        get_service()
    assert caught.value.aws_code == name
    [record] = caplog.records
    assert record.levelno == logging.CRITICAL
    assert f"operation=CreateClient code=unavailable aws_code={name}" in record.getMessage()


def test_a_bad_profile_is_a_mistake_of_the_sites(settings, caplog, monkeypatch):
    """The machine's, here; and once it is mended, the next request gets its service."""
    configure(settings, TOTAL_TIMEOUT_SECONDS=14)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(exceptions.Misconfigured) as caught:
        get_service()
    assert caught.value.aws_code == "ProfileNotFound"
    assert caught.value.__context__ is None
    monkeypatch.delenv("AWS_PROFILE")
    assert isinstance(get_service(), CognitoService)


def test_a_childs_process_starts_with_nothing(monkeypatch):
    """C8: no client, no thread and no lock of its parent's (test_service_transport forks)."""
    monkeypatch.setattr(service, "_services", dict(service._services))
    monkeypatch.setattr(service, "_calls", Calls(8))
    monkeypatch.setattr(service, "_lock", threading.Lock())
    before, lock = get_service(), service._lock
    service._forget()
    assert service._lock is not lock
    assert service._services == {}
    assert service._calls is None
    assert get_service() is not before
    assert get_service()._calls is not before._calls


# Secrets


def test_h5_a_service_shows_no_secret(people):
    """H5: by repr."""
    text = repr(get_service())
    assert text == f"<CognitoService {people.pool['USER_POOL_ID']}>"
    assert repr(made(people, user_pool_id="")) == "<CognitoService >"


@sensitive_variables()
def confirm_as_a_view_does():
    get_service().confirm(
        username="alice", confirmation_code=CODE, password=NEW_PASSWORD, client_metadata={"a": "b"}
    )


FAULTS = ["CodeMismatchException", "InvalidPasswordException", "BrandNewException", Timeout(), None]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_h1_an_error_report_shows_neither_password_nor_code(people, fault):
    """H1: Django's report to ADMINS, with all frames that the exception went through."""
    if fault is not None:
        people.emulator.fail_next("ConfirmForgotPassword", fault)
    with pytest.raises(ResetError) as caught:
        confirm_as_a_view_does()
    error = caught.value
    reporter = ExceptionReporter(
        RequestFactory().post("/"), type(error), error, error.__traceback__
    )
    report = reporter.get_traceback_html() + reporter.get_traceback_text()
    assert "confirm_as_a_view_does" in report
    assert NEW_PASSWORD not in report
    assert CODE not in report


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_h5_an_error_brings_nothing_of_its_thread_along(people, monkeypatch, fault):
    """H5: no frame of the worker's, no context, no cause; with all locals, too."""
    if fault is not None:
        people.emulator.fail_next("ConfirmForgotPassword", fault)
    results: list[Any] = []
    real = CognitoService._worker

    def worker(self, *args, **kwargs):
        results.append(real(self, *args, **kwargs))
        return results[-1]

    monkeypatch.setattr(CognitoService, "_worker", worker)
    with pytest.raises(ResetError) as caught:
        confirm_as_a_view_does()
    [error] = results
    assert error is caught.value
    names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert names[-2:] == ["confirm_as_a_view_does", "call"]
    assert not {"_worker", "worker", "_sent", "_api_call", "_make_api_call"} & set(names)
    assert (error.__context__, error.__cause__) == (None, None)
    tail: Any = error.__traceback__
    while tail.tb_next:
        tail = tail.tb_next
    shown = "".join(
        traceback.TracebackException(type(error), error, tail, capture_locals=True).format()
    )
    assert "in call" in shown
    assert NEW_PASSWORD not in shown
    assert CODE not in shown
    assert not hasattr(error, "__notes__")


def test_h2_other_codes_botocore_may_say_what_it_likes(people, caplog):
    """H2: our calls are silent at DEBUG, and a client in another thread isn't."""
    caplog.set_level(logging.DEBUG)
    code = people.code("alice")
    get_service().confirm(username="alice", confirmation_code=code, password=NEW_PASSWORD)
    assert NEW_PASSWORD not in caplog.text
    assert code not in caplog.text
    botocore_said = [r for r in caplog.records if r.name.startswith(("botocore", "urllib3"))]
    assert [r for r in botocore_said if r.threadName and "cognito_reset" in r.threadName] == []
    get_service().admin_client.list_users(UserPoolId=people.pool["USER_POOL_ID"])
    assert any(r.name == "botocore.endpoint" for r in caplog.records)


def test_h2_what_is_worse_than_debug_is_said(people, caplog):
    """H2: only botocore's DEBUG records print parameters; its warnings stay."""
    caplog.set_level(logging.DEBUG)

    def say() -> None:
        logging.getLogger("botocore.endpoint").debug("secret")
        logging.getLogger("botocore.endpoint").info("news")
        logging.getLogger("urllib3.connectionpool").warning("trouble")
        logging.getLogger("site").debug("own")

    future: Future[Any] = get_service()._calls.submit(say)
    future.result(10)
    assert [record.getMessage() for record in caplog.records] == ["news", "trouble", "own"]
