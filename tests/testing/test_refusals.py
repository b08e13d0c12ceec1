"""A refused operation leaves nothing behind."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.testing.world import NEW_PASSWORD, PASSWORD, SMS, World, needs_current_model

#: Attempts count whether they succeed or not, and unused codes may end with a wrong one's hour.
UNCOUNTED = ("attempts",)


def snapshot(world: World) -> dict[str, Any]:
    """Return a copy of all that an operation can change, without the attempts that are counted."""
    state = world.emulator._state
    pools = {}
    for pool in state.pools.values():
        users = {
            name: {key: item for key, item in vars(user).items() if key not in UNCOUNTED}
            for name, user in pool.users.items()
        }
        # ``names`` may keep names that users no longer have: it only makes finding them quick.
        left_out = ("users", "hooks", "names")
        parts = {name: part for name, part in vars(pool).items() if name not in left_out}
        parts["clients"] = {key: vars(client) for key, client in pool.clients.items()}
        parts["groups"] = {key: vars(group) for key, group in pool.groups.items()}
        pools[pool.id] = {**parts, "users": users}
    return copy.deepcopy(
        {
            "pools": pools,
            "sessions": state.sessions,
            "revoked": state.revoked,
            "outbox": state.outbox,
        }
    )


names = st.sampled_from(
    ["alice", "bob", "carol", "zoe", "nobody", "ALICE", "bob@example.com", "+15550001234"]
)
passwords = st.sampled_from([PASSWORD, NEW_PASSWORD, "weak"])
attributes = st.lists(
    st.sampled_from(
        [
            {"Name": "email", "Value": "bob@example.com"},
            {"Name": "email", "Value": "no address"},
            {"Name": "email_verified", "Value": "true"},
            {"Name": "phone_number", "Value": "+15550001234"},
            {"Name": "phone_number_verified", "Value": "true"},
            {"Name": "preferred_username", "Value": "al"},
            {"Name": "height", "Value": "180"},
        ]
    ),
    max_size=4,
    unique_by=lambda item: item["Name"],
)
switches = st.fixed_dictionaries({"Enabled": st.booleans(), "PreferredMfa": st.booleans()})
groups = st.sampled_from(["editors", "none"])
mechanisms = st.sampled_from(["admin_only", "verified_email", "verified_phone_number"])


def staff(operation, required=None, optional=None):
    members = {"Username": names, **(required or {})}
    return st.tuples(
        st.just(operation), st.just("pool"), st.fixed_dictionaries(members, optional=optional or {})
    )


def public(operation, required=None, optional=None):
    members = {"Username": names, **(required or {})}
    return st.tuples(
        st.just(operation),
        st.just("client"),
        st.fixed_dictionaries(members, optional=optional or {}),
    )


def of_pool(operation, required=None, optional=None):
    return st.tuples(
        st.just(operation),
        st.just("pool"),
        st.fixed_dictionaries(required or {}, optional=optional or {}),
    )


def of_token(operation, required=None, optional=None):
    return st.tuples(
        st.just(operation),
        st.just("token"),
        st.fixed_dictionaries(required or {}, optional=optional or {}),
    )


calls = st.one_of(
    public("SignUp", {"Password": passwords, "UserAttributes": attributes}),
    public("ResendConfirmationCode"),
    public(
        "ConfirmSignUp",
        {"ConfirmationCode": st.sampled_from(["newest", "000000"])},
        {"ForceAliasCreation": st.booleans()},
    ),
    public("ForgotPassword"),
    public(
        "ConfirmForgotPassword",
        {"ConfirmationCode": st.sampled_from(["newest", "000000"]), "Password": passwords},
    ),
    staff(
        "AdminCreateUser",
        {"UserAttributes": attributes},
        {
            "MessageAction": st.sampled_from(["RESEND", "SUPPRESS"]),
            "TemporaryPassword": passwords,
            "ForceAliasCreation": st.booleans(),
            "DesiredDeliveryMediums": st.just(["EMAIL", "SMS"]),
        },
    ),
    staff("AdminConfirmSignUp"),
    staff("AdminSetUserPassword", {"Password": passwords, "Permanent": st.booleans()}),
    staff("AdminUpdateUserAttributes", {"UserAttributes": attributes}),
    staff("AdminDeleteUserAttributes", {"UserAttributeNames": st.just(["email", "height"])}),
    staff("AdminResetUserPassword"),
    staff("AdminDisableUser"),
    staff("AdminDeleteUser"),
    staff("AdminAddUserToGroup", {"GroupName": groups}),
    staff("AdminRemoveUserFromGroup", {"GroupName": groups}),
    staff(
        "AdminSetUserMFAPreference",
        optional={"SMSMfaSettings": switches, "SoftwareTokenMfaSettings": switches},
    ),
    of_pool("CreateGroup", {"GroupName": groups}),
    of_pool("DeleteGroup", {"GroupName": groups}),
    of_pool(
        "UpdateUserPool",
        optional={
            "MfaConfiguration": st.sampled_from(["ON", "OPTIONAL", "OFF"]),
            "SmsConfiguration": st.just(SMS["SmsConfiguration"]),
            "AccountRecoverySetting": st.builds(
                lambda chosen: {
                    "RecoveryMechanisms": [{"Name": name, "Priority": 1} for name in chosen]
                },
                st.lists(mechanisms, min_size=1, max_size=2, unique=True),
            ),
        },
    ),
    of_pool(
        "SetUserPoolMfaConfig",
        {"MfaConfiguration": st.sampled_from(["ON", "OPTIONAL", "OFF"])},
        {
            "SoftwareTokenMfaConfiguration": st.fixed_dictionaries({"Enabled": st.booleans()}),
            "SmsMfaConfiguration": st.just({}),
        },
    ),
    st.tuples(
        st.just("InitiateAuth"),
        st.just("sign-in"),
        st.fixed_dictionaries({"USERNAME": names, "PASSWORD": passwords}),
    ),
    of_token("ChangePassword", {"PreviousPassword": passwords, "ProposedPassword": passwords}),
    of_token("SetUserMFAPreference", optional={"SMSMfaSettings": switches}),
    of_token("AssociateSoftwareToken"),
    of_token("VerifySoftwareToken", {"UserCode": st.just("000000")}),
)
#: What the triggers do: nothing, a refused message, or an error.
moods = st.sampled_from(["", "", "empty", "broken"])


def make_world(mood):
    world = World(pool={"AliasAttributes": ["email", "phone_number", "preferred_username"]})

    def custom(event):
        if mood[0] == "broken":
            raise ValueError("broken")
        return {"response": {"emailMessage": ""} if mood[0] == "empty" else {}}

    def migration(event):
        if event["userName"] != "zoe":
            raise ValueError("unknown")
        contact = {"email": "bob@example.com", "email_verified": "true"}
        return {"response": {"userAttributes": contact}}

    world.emulator.set_hook(world.pool_id, "CustomMessage", custom)
    world.emulator.set_hook(world.pool_id, "UserMigration", migration)
    world.add("alice", preferred_username="al")
    world.add("bob", phone_number="+15550001234", phone_number_verified="true")
    return world


def body_of(world, target, members, token):
    if target == "pool":
        return {"UserPoolId": world.pool_id, **members}
    if target == "token":
        return {"AccessToken": token, **members}
    if target == "sign-in":
        flow = {"AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": members}
        return {"ClientId": world.client_id, **flow}
    members = dict(members)
    if members.get("ConfirmationCode") == "newest":
        outbox = world.emulator.outbox
        members["ConfirmationCode"] = outbox[-1].code if outbox else "111111"
    return {"ClientId": world.client_id, **members}


@needs_current_model
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(moods, calls), min_size=1, max_size=12))
def test_refused_operation_leaves_nothing_behind(steps):
    """Whatever came before, all data are the same before and after a refused operation."""
    mood = [""]
    world = make_world(mood)
    token = world.tokens("bob")["AccessToken"]
    for chosen, (operation, target, members) in steps:
        mood[0] = chosen
        before = snapshot(world)
        body = body_of(world, target, members, token)
        status, answer = world.emulator.handle(operation, body)
        if status != 200:
            assert snapshot(world) == before, (operation, body, answer)


def test_trigger_may_write_before_the_refusal():
    """What a trigger wrote by operations of its own stays, though the operation is refused."""
    world = World()
    world.add()

    def hook(event):
        name = {"Name": "name", "Value": "Alice"}
        world.admin("AdminUpdateUserAttributes", "alice", UserAttributes=[name])
        raise ValueError("broken")

    world.emulator.set_hook(world.pool_id, "CustomMessage", hook)
    assert (
        world.public_error(
            "SignUp",
            "dave",
            Password=PASSWORD,
            UserAttributes=[{"Name": "email", "Value": "dave@example.com"}],
        )[0]
        == "UserLambdaValidationException"
    )
    assert world.user()["Attributes"]["name"] == "Alice"
    assert world.admin_error("AdminGetUser", "dave")[0] == "UserNotFoundException"


def test_one_message_of_two_is_refused():
    """An invitation by two media is sent by both or by none, and the old password stays."""
    world = World()
    pairs = {"email": "carol@example.com", "phone_number": "+15550001234"}
    body = {
        "UserAttributes": [{"Name": name, "Value": value} for name, value in pairs.items()],
        "DesiredDeliveryMediums": ["EMAIL", "SMS"],
    }
    world.admin("AdminCreateUser", "carol", TemporaryPassword=PASSWORD, **body)
    assert len(world.emulator.outbox) == 2
    world.emulator.set_hook(
        world.pool_id, "CustomMessage", lambda event: {"response": {"smsMessage": ""}}
    )
    error = world.admin_error("AdminCreateUser", "carol", MessageAction="RESEND", **body)
    assert error == ("InvalidParameterException", "The message is empty.")
    assert len(world.emulator.outbox) == 2
    assert world.sign_in("carol")["ChallengeName"] == "NEW_PASSWORD_REQUIRED"


@pytest.mark.parametrize("operation", ["SignUp", "AdminCreateUser"])
def test_taken_alias_of_two(operation):
    """If the second of two aliases can't be taken over, the first one isn't either."""
    world = World(pool={"AliasAttributes": ["email", "preferred_username"]})
    world.add("alice", preferred_username="al")
    world.add("bob", email="al@example.com")
    pairs = {"email": "al@example.com", "email_verified": "true", "preferred_username": "al"}
    listed = [{"Name": name, "Value": value} for name, value in pairs.items()]
    if operation == "SignUp":
        del listed[1]
        error = world.public_error(operation, "dave", Password=PASSWORD, UserAttributes=listed)
    else:
        error = world.admin_error(operation, "dave", UserAttributes=listed, ForceAliasCreation=True)
    assert error[0] == "AliasExistsException"
    assert world.user("bob")["Attributes"]["email_verified"] == "true"
