"""The doctor and the services that send messages: Amazon SES and SNS, with botocore's real requests over real sockets."""

from __future__ import annotations

import threading

import pytest

from cognito_reset.cognito.client import make_client
from cognito_reset.cognito.pool_calls import answer_within
from cognito_reset.cognito.service import clients_made_by
from cognito_reset.doctor.findings import Finding
from cognito_reset.testing import serve
from tests.doctor.senders_server import serve_senders
from tests.doctor.test_pool import well
from tests.doctor.world import BY_EITHER, BY_PHONE, SES, SMS, change_pool, of_pool, set_pool, wrong
from tests.fault_server import closed_port

__all__ = ["well"]  # a fixture

EMAIL = {
    Finding.EMAIL_SENDER_UNKNOWN,
    Finding.EMAIL_IN_SANDBOX,
    Finding.EMAIL_SENDING_OFF,
    Finding.EMAIL_QUOTA_NEAR,
    Finding.EMAIL_ACCOUNT_RIGHT,
}
TEXT = {Finding.SMS_SANDBOX_UNKNOWN, Finding.SMS_IN_SANDBOX, Finding.SMS_OUT_OF_SANDBOX}
XML_REFUSAL = "<ErrorResponse><Error><Type>Sender</Type><Code>AuthorizationError</Code></Error></ErrorResponse>"


@pytest.fixture
def senders(well):
    with serve_senders(well) as found:
        yield found


@pytest.fixture
def by_phone(well):
    change_pool(well, AccountRecoverySetting=BY_PHONE, SmsConfiguration=SMS)


def test_mails_that_reach_everybody(senders):
    """The Region is that of the identity, and nothing is asked about text messages."""
    found = of_pool()
    assert EMAIL & found.keys() == {Finding.EMAIL_ACCOUNT_RIGHT}
    assert found[Finding.EMAIL_ACCOUNT_RIGHT] == "Region eu-west-1."
    assert senders.asked == [("email.eu-west-1.amazonaws.com", "eu-west-1", "ses:GetAccount")]


@pytest.mark.parametrize(
    ("arn", "region"),
    [
        ("arn:aws:ses:us-west-2:123456789012:identity/example.com", "us-west-2"),
        ("arn:aws-us-gov:ses:us-gov-west-1:123456789012:identity/example.com", "us-gov-west-1"),
        ("arn:aws:ses::123456789012:identity/example.com", "eu-west-1"),
    ],
)
def test_the_region_of_the_identity(well, senders, arn, region):
    """An identity without one has that of the pool."""
    change_pool(well, EmailConfiguration={**SES, "SourceArn": arn})
    assert of_pool()[Finding.EMAIL_ACCOUNT_RIGHT] == f"Region {region}."
    assert senders.asked == [(f"email.{region}.amazonaws.com", region, "ses:GetAccount")]


@pytest.mark.parametrize(
    ("changes", "findings"),
    [
        ({"ProductionAccessEnabled": False}, {Finding.EMAIL_IN_SANDBOX}),
        ({"SendingEnabled": False}, {Finding.EMAIL_SENDING_OFF}),
        ({"SendQuota": {"Max24HourSend": 200.0, "SentLast24Hours": 180.0}}, {Finding.EMAIL_QUOTA_NEAR}),
        ({"SendQuota": {"Max24HourSend": 0.0, "SentLast24Hours": 0.0}}, {Finding.EMAIL_QUOTA_NEAR}),
        (
            {
                "ProductionAccessEnabled": False,
                "SendingEnabled": False,
                "SendQuota": {"Max24HourSend": 200.0, "SentLast24Hours": 200.0},
            },
            {Finding.EMAIL_IN_SANDBOX, Finding.EMAIL_SENDING_OFF, Finding.EMAIL_QUOTA_NEAR},
        ),
    ],
)  # fmt: skip
def test_mails_that_do_not_reach_everybody(senders, changes, findings):
    """Each has a finding of its own."""
    senders.account |= changes
    found = of_pool()
    assert EMAIL & found.keys() == wrong(found) == findings


@pytest.mark.parametrize(
    "quota",
    [
        {"Max24HourSend": 200.0, "SentLast24Hours": 179.0},
        {"Max24HourSend": -1.0, "SentLast24Hours": 1000000.0},
        {},
    ],
)
def test_a_quota_that_is_not_near(senders, quota):
    """-1 means that there is none."""
    senders.account["SendQuota"] = quota
    assert EMAIL & of_pool().keys() == {Finding.EMAIL_ACCOUNT_RIGHT}


def test_the_numbers_of_the_quota_are_told(senders):
    senders.account["SendQuota"] = {"Max24HourSend": 50000.0, "SentLast24Hours": 48000.0}
    assert "48,000 of 50,000 mails" in of_pool()[Finding.EMAIL_QUOTA_NEAR]


@pytest.mark.parametrize(
    ("is_in_sandbox", "finding"),
    [(True, Finding.SMS_IN_SANDBOX), (False, Finding.SMS_OUT_OF_SANDBOX)],
)
def test_the_sms_sandbox(by_phone, senders, is_in_sandbox, finding):
    """Nothing is asked about mails."""
    senders.is_in_sms_sandbox = is_in_sandbox
    found = of_pool()
    assert (EMAIL | TEXT) & found.keys() == {finding}
    asked = ("sns.eu-west-1.amazonaws.com", "eu-west-1", "sns:GetSMSSandboxAccountStatus")
    assert senders.asked == [asked]


def test_text_messages_from_another_region(well, senders):
    """SmsConfiguration has it."""
    sms = {**SMS, "SnsRegion": "us-east-1"}
    change_pool(well, AccountRecoverySetting=BY_PHONE, SmsConfiguration=sms)
    assert of_pool()[Finding.SMS_OUT_OF_SANDBOX] == "Region us-east-1."
    assert senders.asked[0][:2] == ("sns.us-east-1.amazonaws.com", "us-east-1")


REFUSAL = (403, '{"message": "no"}', {"x-amzn-ErrorType": "AccessDeniedException"})
PORTAL = (200, "<html></html>", {"Content-Type": "text/html"})


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (REFUSAL, "AccessDeniedException"),
        (PORTAL, "UnprovenAnswer"),
        ((200, "{}", {"Content-Type": "application/json"}), "UnprovenAnswer"),
        ((500, "", {}), "500"),
    ],
    ids=["permission", "portal", "empty", "500"],
)
def test_an_account_that_can_not_be_read(senders, caplog, answer, reason):
    """It is unknown, with the reason, and one request is sent. It raises no alarm."""
    senders.answer = answer
    found = of_pool()
    assert EMAIL & found.keys() == {Finding.EMAIL_SENDER_UNKNOWN}
    assert found[Finding.EMAIL_SENDER_UNKNOWN] == f"Region eu-west-1: {reason}."
    assert len(senders.asked) == 1
    assert "cognito_reset" not in caplog.text


@pytest.mark.parametrize(
    ("answer", "reason"),
    [((403, XML_REFUSAL, {}), "AuthorizationError."), (PORTAL, "")],
    ids=["permission", "portal"],
)
def test_a_sandbox_that_can_not_be_seen(by_phone, senders, answer, reason):
    """As with mails. Which error botocore makes of a portal's answer depends on its version."""
    senders.answer = answer
    found = of_pool()
    assert TEXT & found.keys() == {Finding.SMS_SANDBOX_UNKNOWN}
    assert found[Finding.SMS_SANDBOX_UNKNOWN].endswith(reason)
    assert len(senders.asked) == 1


def test_a_service_that_hangs(senders):
    """The admin's page doesn't wait longer than its own time."""
    of_pool()  # makes the clients, which takes long on a busy machine
    senders.hangs_until = threading.Event()
    try:
        with answer_within(1.0):
            found = of_pool()
    finally:
        senders.hangs_until.set()
    assert "DeadlineExceeded" in found[Finding.EMAIL_SENDER_UNKNOWN]
    assert Finding.EMAIL_SENDER_RIGHT in found


def test_the_requests_go_through_the_proxy(well):
    """Here it refuses the connection, so nothing reaches AWS."""

    def factory(pool, *, signed, **other):
        client = make_client(pool, signed=signed, **other)
        if not other:
            well.emulator.mount(client)
        return client

    set_pool(well, PROXIES={"https": f"http://127.0.0.1:{closed_port()}"})
    with clients_made_by(factory):
        assert "ProxyConnectionError" in of_pool()[Finding.EMAIL_SENDER_UNKNOWN]


def test_an_endpoint_of_your_own_is_only_cognitos(well, senders):
    """It is usually an emulator, and then AWS knows nothing of the pool."""
    change_pool(well, AccountRecoverySetting=BY_EITHER, SmsConfiguration=SMS)
    with serve(well.emulator) as server:
        set_pool(well, ENDPOINT_URL=server.url)
        found = of_pool()
    assert (EMAIL | TEXT) & found.keys() == {
        Finding.EMAIL_SENDER_UNKNOWN,
        Finding.SMS_SANDBOX_UNKNOWN,
    }
    assert "ENDPOINT_URL" in found[Finding.EMAIL_SENDER_UNKNOWN]
    assert "ENDPOINT_URL" in found[Finding.SMS_SANDBOX_UNKNOWN]
    assert senders.asked == []


def test_the_test_kit_asks_no_other_service(well):
    """Its emulator is Cognito only, and a test reaches no network."""
    assert "EndpointConnectionError" in of_pool()[Finding.EMAIL_SENDER_UNKNOWN]
