from __future__ import annotations

import json
import random
import threading
from datetime import UTC, datetime

import pytest

from cognito_reset.testing import (
    ConnectRefused,
    Emulator,
    Error,
    Junk,
    Options,
    Reset,
    Timeout,
)
from tests.testing.world import NEW_PASSWORD, World


def test_calls_are_recorded_in_order():
    """Calls are recorded as copies of operation and body, even if they were refused."""
    emulator = Emulator()
    metadata = {"a": "b"}
    body = {"ClientId": "1", "Username": "alice", "ClientMetadata": metadata}
    emulator.handle("ForgotPassword", body)
    metadata.clear()
    emulator.handle("Unheard", {})
    assert emulator.calls == [
        ("ForgotPassword", {"ClientId": "1", "Username": "alice", "ClientMetadata": {"a": "b"}}),
        ("Unheard", {}),
    ]
    emulator.calls.clear()
    assert emulator.calls == []


def test_outbox_is_oldest_first():
    """The newest message comes last, as in Django's mail.outbox, and the list is a copy."""
    world = World()
    world.add()
    first, second = world.send_code(), world.send_code()
    assert [message.code for message in world.emulator.outbox] == [first, second]
    world.emulator.outbox.clear()
    assert len(world.emulator.outbox) == 2


def test_messages_dont_show_their_codes():
    """The repr of a message, which a failing test prints, has no code. Its JSON has one."""
    world = World()
    world.add()
    code = world.send_code()
    [message] = world.emulator.outbox
    assert code not in repr(message)
    assert message.as_json() == {
        "username": "alice",
        "kind": "forgot_password",
        "medium": "EMAIL",
        "destination": "alice@example.com",
        "code": code,
        "sent_at": "2026-11-21T12:00:00+00:00",
        "subject": "Your verification code",
        "body": f"Your password reset code is {code}",
    }


def test_seed_makes_everything_the_same():
    """Ids, secrets and codes follow from the seed; without one they differ."""

    def made(seed):
        emulator = Emulator(seed=seed)
        _, pool = emulator.handle("CreateUserPool", {"PoolName": "x"})
        body = {"UserPoolId": pool["UserPool"]["Id"], "ClientName": "x", "GenerateSecret": True}
        _, client = emulator.handle("CreateUserPoolClient", body)
        return pool["UserPool"]["Id"], client["UserPoolClient"]["ClientSecret"]

    assert made(1) == made(1)
    assert made(1) != made(2)
    assert made(None) != made(None)


def test_seed_leaves_other_randomness_alone():
    """A seed doesn't change Python's global random generator."""
    random.seed(5)
    expected = random.random()
    random.seed(5)
    Emulator(seed=1).handle("CreateUserPool", {"PoolName": "x"})
    assert random.random() == expected


def test_own_clock_and_codes():
    """A test may pass its own clock and codes."""
    codes = iter(["000001", "000002"])
    emulator = Emulator(now=lambda: datetime(2030, 1, 1, tzinfo=UTC), new_code=lambda: next(codes))
    _, pool = emulator.handle("CreateUserPool", {"PoolName": "x"})
    body = {"UserPoolId": pool["UserPool"]["Id"], "Username": "a"}
    emulator.handle(
        "AdminCreateUser",
        {**body, "UserAttributes": [{"Name": "email_verified", "Value": "true"}]},
    )
    emulator.handle("AdminSetUserPassword", {**body, "Password": "Aa1-5678", "Permanent": True})
    update = [{"Name": "email", "Value": "a@b"}, {"Name": "email_verified", "Value": "true"}]
    emulator.handle("AdminUpdateUserAttributes", {**body, "UserAttributes": update})
    emulator.advance(60)
    assert emulator.handle("AdminResetUserPassword", body) == (200, {})
    [message] = emulator.outbox
    assert message.code == "000001"
    assert message.sent_at == datetime(2030, 1, 1, 0, 1, tzinfo=UTC)


def test_clock_of_its_own():
    """By default the emulator uses the current time."""
    before = datetime.now(UTC)
    emulator = Emulator()
    _, pool = emulator.handle("CreateUserPool", {"PoolName": "x"})
    assert before.timestamp() <= pool["UserPool"]["CreationDate"] <= datetime.now(UTC).timestamp()


def test_region_is_part_of_the_ids():
    """A pool's id starts with its Region, as on AWS."""
    _, pool = Emulator(region="eu-north-1").handle("CreateUserPool", {"PoolName": "x"})
    assert pool["UserPool"]["Id"].startswith("eu-north-1_")


@pytest.mark.parametrize(
    ("authorization", "region"),
    [
        (
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261128/eu-west-1/cognito-idp/aws4_request, "
            "SignedHeaders=host;x-amz-date, Signature=abc",
            "eu-west-1",
        ),
        ("AWS4-HMAC-SHA256 Credential=x/20261128/EU_1/cognito-idp/aws4_request", "eu-north-1"),
        ("AWS4-HMAC-SHA256 Credential=x/20261128/eu-west-1/s3/aws4_request", "eu-north-1"),
        ("Bearer x", "eu-north-1"),
    ],
)
def test_region_that_the_request_is_signed_for(authorization, region):
    """The pool's id, its ARN, and its tokens carry that Region, and events for its triggers do."""
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": "AWSCognitoIdentityProviderService.CreateUserPool",
        "authorization": authorization,
    }
    emulator = Emulator(region="eu-north-1")
    answer, _ = emulator.exchange(headers, b'{"PoolName": "x"}')
    pool = json.loads(answer.body)["UserPool"]
    assert pool["Id"].startswith(f"{region}_")
    assert pool["Arn"] == f"arn:aws:cognito-idp:{region}:123456789012:userpool/{pool['Id']}"
    _, later = emulator.handle("CreateUserPool", {"PoolName": "y"})
    assert later["UserPool"]["Id"].startswith("eu-north-1_")


# Faults in the core.


def test_error_by_name():
    """The next call fails with this error and Amazon's message, and the one after it doesn't."""
    world = World()
    world.add()
    world.emulator.fail_next("ForgotPassword", "LimitExceededException")
    assert world.public_error("ForgotPassword", "alice") == (
        "LimitExceededException",
        "Attempt limit exceeded, please try after some time.",
    )
    assert world.emulator.outbox == []
    world.send_code()


def test_error_with_a_message():
    """An error may have its own message, occur several times, and concerns one operation."""
    world = World()
    world.add()
    world.emulator.fail_next(
        "ForgotPassword", "NotAuthorizedException", message="Unable to verify", times=2
    )
    assert world.user()
    for _ in range(2):
        error = world.public_error("ForgotPassword", "alice")
        assert error == ("NotAuthorizedException", "Unable to verify")
    world.send_code()


def test_error_after_the_work_was_done():
    """With a processed fault, the operation has its effect."""
    world = World()
    world.add()
    code = world.send_code()
    world.emulator.fail_next(
        "ConfirmForgotPassword", Error("UserLambdaValidationException", "x", processed=True)
    )
    assert world.confirm_error(code)[0] == "UserLambdaValidationException"
    assert world.sign_in(password=NEW_PASSWORD)


@pytest.mark.parametrize(
    ("fault", "options", "status"),
    [
        (Error("SomethingNewException"), {}, 400),
        (Error("SomethingNewException", status=418), {}, 418),
        (Error("InternalErrorException"), {}, 500),
        (Error("InternalServerException"), {}, 500),
        (Error("TooManyRequestsException"), {}, 400),
        (Error("TooManyRequestsException"), {"too_many_requests_status": 429}, 429),
    ],
)
def test_status_of_an_error(fault, options, status):
    """Errors have status 400, internal ones 500, and throttling that of the option."""
    emulator = Emulator(options=Options(**options))
    emulator.fail_next("ForgotPassword", fault)
    found, body = emulator.handle("ForgotPassword", {})
    assert found == status
    assert body["__type"] == fault.code
    assert body["message"]


def test_faults_in_a_row():
    """Queued faults are played in order, and the remaining ones can be read."""
    world = World()
    emulator = world.emulator
    emulator.fail_next("ForgotPassword", "CodeMismatchException")
    emulator.fail_next("ForgotPassword", ConnectRefused())
    assert world.public_error("ForgotPassword", "alice")[0] == "CodeMismatchException"
    assert emulator.queued_faults("ForgotPassword") == [ConnectRefused()]
    assert emulator.queued_faults("ConfirmForgotPassword") == []


@pytest.mark.parametrize("fault", [Timeout(), Reset(), Junk("x"), ConnectRefused()])
def test_fault_of_a_transport(fault):
    """The core can't play faults of the network."""
    emulator = Emulator()
    emulator.fail_next("ForgotPassword", fault)
    with pytest.raises(RuntimeError, match="needs a mounted client or the HTTP server"):
        emulator.handle("ForgotPassword", {})


def test_what_never_arrives_isnt_a_call():
    """A failed connection records no call, but a lost answer does."""
    emulator = Emulator()
    emulator.fail_next("ForgotPassword", ConnectRefused())
    emulator.fail_next("ForgotPassword", Timeout())
    for calls in (0, 1):
        with pytest.raises(RuntimeError):
            emulator.handle("ForgotPassword", {})
        assert len(emulator.calls) == calls


# Threads.


def test_allowance_holds_among_threads():
    """Concurrent requests get no more codes than the allowance permits."""
    world = World(options=Options(hourly_allowance=7))
    world.add()
    start = threading.Barrier(20)
    statuses = []

    def ask():
        start.wait()
        body = {"ClientId": world.client_id, "Username": "alice"}
        statuses.append(world.emulator.handle("ForgotPassword", body)[0])

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses.count(200) == 7
    assert len(world.emulator.outbox) == 7


def test_one_code_confirms_once_among_threads():
    """Only one of many concurrent confirmations with one code changes the password."""
    world = World(options=Options(hourly_allowance=100))
    world.add()
    code = world.send_code()
    start = threading.Barrier(20)
    statuses = []

    def confirm(n):
        start.wait()
        body = {
            "ClientId": world.client_id,
            "Username": "alice",
            "ConfirmationCode": code,
            "Password": f"Battery-staple-{n}",
        }
        statuses.append(world.emulator.handle("ConfirmForgotPassword", body)[0])

    threads = [threading.Thread(target=confirm, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses.count(200) == 1
