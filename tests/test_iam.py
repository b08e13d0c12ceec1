"""F13: each feature calls exactly the operations that its policy in docs/iam.md allows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import botocore.session
import pytest
from django.core.cache import cache

from cognito_reset.cognito.service import get_service, wait_until_idle
from cognito_reset.doctor.examination import examine_one
from cognito_reset.models import BulkItem, BulkRun
from cognito_reset.staff import bulk
from cognito_reset.staff.accounts import look_up
from cognito_reset.staff.actions import ACTIONS
from cognito_reset.staff.perform import perform
from tests.doctor.senders_server import serve_senders
from tests.doctor.world import BY_EITHER, SMS, change_pool
from tests.interfaces import INTERFACES, REST, with_settings
from tests.people import NEW_PASSWORD

PAGE = (Path(__file__).parent.parent / "docs" / "iam.md").read_text()
MODEL = botocore.session.get_session().get_service_model("cognito-idp")
# These operations need no policy.
UNSIGNED = {
    name
    for name in MODEL.operation_names
    if MODEL.operation_model(name).auth_type == "none"
    or "smithy.api#noAuth" in (MODEL.operation_model(name).auth or ())
}
POLICIES = {
    title: json.loads(block)
    for title, block in re.findall(r"^##+ ([^\n]+)\n(?:(?!^##|^```).)*^```json\n(.*?)^```", PAGE, re.M | re.S)
}  # fmt: skip
LOOK_UP = "Staff: looking people up"
CLIENT = "The doctor: the app client"
SENDERS = "The doctor: mails and text messages"


def allowed(*titles: str) -> set[str]:
    """Return the operations that the policies in these sections of the page allow."""
    return {
        action.removeprefix("cognito-idp:")
        for title in titles
        for statement in POLICIES[title]["Statement"]
        for action in statement["Action"]
    }


def called(people) -> set[str]:
    """Return the operations that were called and need a policy."""
    assert wait_until_idle(10)
    return {name for name, _ in people.emulator.calls} - UNSIGNED


@pytest.fixture
def site(people):
    """The people, on a site whose service knows nothing of the pool yet."""
    get_service().forget_answers()
    cache.clear()
    return people


def test_every_policy_is_about_one_pool_and_operations_that_exist():
    """No policy has a wildcard, and none allows what this page advises against."""
    assert len(POLICIES) == 14
    for title, policy in POLICIES.items():
        [statement] = policy["Statement"]
        if title == SENDERS:  # these operations have no resource (Service Authorization Reference)
            continue
        assert set(statement) == {"Effect", "Action", "Resource"}
        assert re.fullmatch(r"arn:aws:cognito-idp:[\w-]+:\d{12}:userpool/[\w-]+", statement["Resource"])  # fmt: skip
        names = [action.removeprefix("cognito-idp:") for action in statement["Action"]]
        assert set(names) <= set(MODEL.operation_names) - UNSIGNED
        assert not {"AdminSetUserPassword", "AdminGetUser"} & set(names)
        assert ("DescribeUserPoolClient" in names) is (title == CLIENT)


@pytest.mark.requirement("F13")
@pytest.mark.parametrize("make_interface", INTERFACES)
def test_f13_the_public_interfaces_need_no_policy(site, make_interface):
    """ForgotPassword and ConfirmForgotPassword are unsigned."""
    make_interface().request("alice")
    assert wait_until_idle(10)
    interface, code = make_interface(), site.emulator.outbox[-1].code
    assert interface.confirm("alice", code=code).status_code == make_interface.DONE
    assert called(site) == set()
    assert {name for name, _ in site.emulator.calls} == {"ForgotPassword", "ConfirmForgotPassword"}


@pytest.mark.requirement("F13")
def test_f13_rules_for_passwords_from_the_pool(site, settings):
    """They are read by the service that has the pool's rules."""
    pools = settings.COGNITO_RESET["POOLS"]
    default = {**pools["default"], "PASSWORD_POLICY": "pool"}
    with_settings(settings, POOLS={**pools, "default": default})
    assert REST().client.get("/api/password-reset/policy/").status_code == 200
    assert called(site) == allowed("Rules for passwords from the pool")


@pytest.mark.requirement("F13")
def test_f13_signing_out_everywhere(site, settings):
    """It follows a reset."""
    with_settings(settings, SIGN_OUT_EVERYWHERE=True)
    code = site.code("alice")
    assert REST().confirm("alice", code=code, password=NEW_PASSWORD).status_code == 200
    assert called(site) == allowed("Signing out everywhere")


@pytest.mark.requirement("F13")
@pytest.mark.django_db(transaction=True)
def test_f13_invitations_that_are_sent_again(site, settings):
    """The pool is described only if the name has capital letters."""
    with_settings(settings, RESEND_INVITATIONS=True)
    policy = allowed("Invitations that are sent again")
    REST().request("carol")
    assert called(site) == policy - {"DescribeUserPool"}
    text = "User password cannot be reset in the current state."
    site.emulator.fail_next("ForgotPassword", "NotAuthorizedException", message=text)
    REST().request("Carol")
    assert called(site) == policy


@pytest.mark.requirement("F13")
@pytest.mark.parametrize("typed", ["alice", "Alice", "alice@example.com"])
def test_f13_looking_people_up(site, typed):
    """This is the first step of all that staff do."""
    with_rules = typed != "Alice"
    if with_rules:
        account = look_up(typed)
        assert account.person.refusal(get_service().pool_rules()) is None
    else:
        with pytest.raises(Exception, match="user_not_found"):
            look_up(typed)
    assert called(site) == allowed(LOOK_UP)


@pytest.mark.requirement("F13")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("action", "name"),
    [
        ("reset", "alice"),
        ("invite", "carol"),
        ("enable", "erin"),
        ("confirm", "dave"),
        ("sign-out", "alice"),
        ("clear-limits", "alice"),
    ],
)
def test_f13_each_action_of_staff(site, action, name):
    """Look the person up, as the panel does, and act. The permissions of other actions aren't needed."""
    account = look_up(name)
    get_service().pool_rules()
    done = perform(ACTIONS[action], account, actor=None, interface="python")
    assert done.error is None
    own = allowed(str(ACTIONS[action].title)) if action != "clear-limits" else set()
    assert called(site) == allowed(LOOK_UP) | own


@pytest.mark.requirement("F13")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("source", "more"),
    [
        ("all", {}),
        ("status", {"value": "CONFIRMED"}),
        ("filter", {"value": 'username = "alice"'}),
        ("list", {"usernames": ["alice"]}),
        ("queryset", {"usernames": ["alice"]}),
        ("group", {"value": "team"}),
    ],
)
def test_f13_resets_of_many_people(site, source, more):
    """A group is listed by an operation of its own."""
    site.call("CreateGroup", GroupName="team")
    site.call("AdminAddUserToGroup", GroupName="team", Username="alice")
    site.emulator.calls.clear()
    run = bulk.start(pool="default", source=source, rate=30, limit=1, interface="python", **more)
    bulk.work(run.pk)
    assert BulkRun.objects.get().state == "done"
    assert BulkItem.objects.filter(state="sent").count() == 1
    title = "By group" if source == "group" else "By list, state or filter, or everybody"
    assert called(site) == allowed(title)


@pytest.mark.requirement("F13")
def test_f13_the_doctor(site):
    """It asks for the second factors only if the pool has one."""
    assert [*examine_one("default")]
    assert called(site) == allowed("The doctor", CLIENT) - {"GetUserPoolMfaConfig"}
    mfa = {"SoftwareTokenMfaConfiguration": {"Enabled": True}, "MfaConfiguration": "OPTIONAL"}
    site.call("SetUserPoolMfaConfig", **mfa)
    site.emulator.calls.clear()
    assert [*examine_one("default")]
    assert called(site) == allowed("The doctor", CLIENT)


@pytest.mark.requirement("F13")
def test_f13_the_doctor_and_the_services_that_send_messages(site):
    """It asks about what the pool's codes go by."""
    change_pool(site, AccountRecoverySetting=BY_EITHER, SmsConfiguration=SMS)
    with serve_senders(site) as senders:
        assert [*examine_one("default")]
    [statement] = POLICIES[SENDERS]["Statement"]
    assert statement["Resource"] == "*"
    assert sorted(action for *_, action in senders.asked) == statement["Action"]


@pytest.mark.requirement("F13")
def test_f13_the_permissions_that_the_doctor_tries(site):
    """They are those of other features."""
    assert [*examine_one("default", permissions=True)]
    others = {title for title in POLICIES if not title.startswith("The doctor")}
    assert called(site) <= allowed("The doctor", CLIENT, *others)
