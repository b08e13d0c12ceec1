"""The contract table, against every server that there is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, get_args, get_type_hints

import botocore
import botocore.session
import pytest
from botocore.model import ListShape, Shape, StructureShape

from cognito_reset.testing import Options
from tests.contract.cases import CASES, CLIENTS, FORMS, POOLS, USERS, Case, Mode
from tests.contract.deviations import DEVIATIONS, FORM_DEVIATIONS, WORDS
from tests.contract.servers import (
    SEAMS,
    CognitoLocal,
    EmulatorCore,
    EmulatorOverHTTP,
    LivePool,
    Moto,
    MountedEmulator,
    Refused,
    Server,
    Settings,
)
from tests.contract.stage import LiveStage, Stage, fits, play, setting_of

pytestmark = pytest.mark.contract

MODEL = botocore.session.get_session().get_service_model("cognito-idp")
BY_ID = {case.id: case for case in CASES}
#: The ends of what Amazon says of it.
ALLOWANCES = (5, 20)


def values_of(option: str) -> tuple[Any, ...]:
    """Return the values that an option can have, without the default."""
    kind = get_type_hints(Options)[option]
    values = get_args(kind) or ((True, False) if kind is bool else ALLOWANCES)
    return tuple(value for value in values if value != getattr(Options(), option))


OPTIONS = [(field.name, value) for field in fields(Options) for value in values_of(field.name)]


def each(cases: Iterable[Case], server: type[Server] = Server) -> pytest.MarkDecorator:
    """Return the cases whose needs the server meets."""
    had = [case for case in cases if not case.needs & server.lacks]
    return pytest.mark.parametrize("case", had, ids=lambda case: case.id)


def run(server: Server, case: Case) -> str:
    if strange := STRANGE[case.id]:
        pytest.skip(f"botocore {botocore.__version__} doesn't know {strange}")
    return play(server, case)


def unknown_to_botocore(case: Case) -> str:
    """Return what an old botocore doesn't know of the case's requests, or an empty string."""
    requests: list[tuple[str, Mapping[str, Any]]] = [
        ("CreateUserPool", POOLS[case.pool]),
        ("CreateUserPoolClient", CLIENTS[case.client]),
        *(
            (step.operation, step.members)
            for step in case.everything
            if step.operation not in SEAMS
        ),
    ]
    for operation, members in requests:
        if operation not in MODEL.operation_names:
            return operation
        if name := _unknown_member(MODEL.operation_model(operation).input_shape, members):
            return f"{name} of {operation}"
    return ""


def _unknown_member(shape: Shape, value: Any) -> str:
    if isinstance(shape, StructureShape):
        for name, item in value.items():
            if name not in shape.members:
                return str(name)
            if found := _unknown_member(shape.members[name], item):
                return found
    if isinstance(shape, ListShape):
        return next(filter(None, (_unknown_member(shape.member, item) for item in value)), "")
    return ""


STRANGE = {case.id: unknown_to_botocore(case) for case in CASES}


def assert_fits(outcome: str, *expected: str) -> None:
    assert any(fits(outcome, one) for one in expected), f"{outcome!r}, not {' or '.join(expected)}"


# The table itself.


def test_each_case_has_a_name_of_its_own():
    """The list of deviations refers to cases by name."""
    assert len(BY_ID) == len(CASES)


def test_each_case_says_who_says_so():
    """
    Cases that depend on an option are those that Amazon doesn't document, or where it documents a
    choice.
    """
    tags = {case.source.partition(" ")[0] for case in CASES}
    documented = [case for case in CASES if not case.undocumented]
    assert tags == {"[doc]", "[model]", "[staff]", "[seen]", "[?]"}
    assert {option for case in documented for option, _ in case.choices} == {
        "list_starts_with_empty_page",
        "unknown_user",
    }


def test_each_value_of_each_option_decides_a_case():
    """Every value that an option can have is tested."""
    assert {choice for case in CASES for choice in case.choices} == set(OPTIONS)


@pytest.mark.parametrize("server", DEVIATIONS)
def test_each_deviation_is_of_a_case(server):
    """Each case has at most one deviation per server."""
    ids = [id for deviation in DEVIATIONS[server] for id in deviation.ids]
    assert len(ids) == len(set(ids))
    assert set(ids) <= set(BY_ID)


# The emulator.


@each(CASES, MountedEmulator)
def test_mounted_emulator(case, mounted_emulator):
    """Mounted in boto3's client, the emulator answers as Amazon does."""
    assert_fits(run(mounted_emulator, case), case.expected)


@each(CASES, EmulatorOverHTTP)
def test_emulator_over_http(case, emulator_over_http):
    """Over HTTP, the emulator answers as Amazon does."""
    assert_fits(run(emulator_over_http, case), case.expected)


@each([case for case in CASES if case.choices], EmulatorCore)
def test_option(case):
    """Each option has the effect that the table lists."""
    for (option, value), expected in case.choices.items():
        server = EmulatorCore()
        setattr(server.emulator.options, option, value)
        assert_fits(run(server, case), expected)


@pytest.mark.parametrize(("option", "value"), OPTIONS)
def test_option_changes_nothing_else(option, value):
    """An option changes only the cases that name it."""
    server = EmulatorCore()
    setattr(server.emulator.options, option, value)
    wrong = []
    for case in CASES:
        # Two answers in turn: which one comes depends on the cases before.
        in_turn = value == "alternating" and option in [name for name, _ in case.choices]
        if case.needs & server.lacks or STRANGE[case.id] or in_turn:
            continue
        outcome = play(server, case)
        if not fits(outcome, case.choices.get((option, value), case.expected)):
            wrong.append((case.id, outcome))
    assert wrong == []


# Others.


def assert_as_known(server: Server, case: Case) -> None:
    """
    Assert that the server answers as its list of deviations says, or as Amazon does if the case
    isn't listed.
    """
    outcome = run(server, case)
    outcome, _ = WORDS[server.name].get(outcome, (outcome, ""))
    known = [one.outcome for one in DEVIATIONS[server.name] if case.id in one.ids]
    assert_fits(outcome, *(known or [case.expected, *case.choices.values()]))
    if known:
        assert not fits(outcome, case.expected), "the deviation is gone"


@pytest.mark.slow
@each(CASES, Moto)
def test_moto(case, moto):
    """moto's server answers as Amazon does, except for the listed deviations."""
    assert_as_known(moto, case)


@pytest.mark.slow
@each(CASES, CognitoLocal)
def test_cognito_local(case, cognito_local):
    """cognito-local answers as Amazon does, except for the listed deviations."""
    assert_as_known(cognito_local, case)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("server", "words", "id"),
    [(name, words, id) for name in WORDS for words, (_, id) in WORDS[name].items()],
)
def test_words_are_in_use(server, words, id, request):
    """The server still uses its own wording, which the comparison replaces by Amazon's."""
    assert run(request.getfixturevalue(server), BY_ID[id]) == words


@pytest.mark.slow
@pytest.mark.parametrize(
    ("server", "operation"),
    [(kind.name, name) for kind in (Moto, CognitoLocal) for name in sorted(kind.lacks - SEAMS)],
)
def test_what_it_lacks_is_still_lacking(server, operation, request):
    """If cases are left out because a server lacks an operation, the server still lacks it."""
    if operation not in MODEL.operation_names:
        pytest.skip(f"botocore {botocore.__version__} doesn't know {operation}")
    with pytest.raises(Refused) as refusal:
        request.getfixturevalue(server).call(operation, {})
    assert refusal.value.status == 500


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.id)
@pytest.mark.parametrize(
    "server",
    [
        "emulator_over_http",
        pytest.param("moto", marks=pytest.mark.slow),
        pytest.param("cognito_local", marks=pytest.mark.slow),
    ],
)
def test_form_on_the_wire(server, form, request):
    """Status, headers and members of a success, an error and a preflight."""
    stage = Stage(request.getfixturevalue(server), BY_ID["wire-null-member"])
    stage.prepare()
    answer = stage.server.request(
        stage.resolved(form.body).encode(), stage.resolved(form.headers), form.method
    )
    members = json.loads(answer.body) if "body" in form.expected else {}
    facts = {**answer.headers, "status": str(answer.status), "body": ", ".join(sorted(members))}
    deviations = FORM_DEVIATIONS.get(server, {}).get(form.id, {})
    expected = {**form.expected, **deviations}
    assert {
        name: facts.get(name)
        for name, one in expected.items()
        if not fits(facts.get(name, ""), one)
    } == {}
    gone = {name for name in deviations if fits(facts.get(name, ""), form.expected[name])}
    assert not gone, "these deviations are gone"


# A real pool.


LIVE = [case for case in CASES if case.live]


def assert_live(case: Case, outcome: str) -> None:
    """Assert the outcome on a real pool, where neither the destination nor the inbox is known."""
    assert_fits(outcome, "code by …" if case.expected.startswith("code by") else case.expected)


@pytest.mark.live
@each(LIVE, LivePool)
def test_live(case, live_pool, record_undocumented):
    """
    A real user pool, which COGNITO_LIVE_REGION, COGNITO_LIVE_USER_POOL_ID, COGNITO_LIVE_CLIENT_ID
    and, for a client with a secret, COGNITO_LIVE_CLIENT_SECRET name. Its client must be as
    COGNITO_LIVE_PREVENT_USER_EXISTENCE_ERRORS says (LEGACY, or ENABLED). Its users are named by
    their states: COGNITO_LIVE_CONFIRMED, COGNITO_LIVE_FEDERATED, COGNITO_LIVE_NO_CONTACT …; what
    isn't named is left out. Signed operations need COGNITO_LIVE_ACCESS_KEY_ID and
    COGNITO_LIVE_SECRET_ACCESS_KEY too; those that would change a user aren't called.

    It costs a message to each of the users whom a code can reach, one of them an SMS, and up to
    three of the 5 to 20 attempts that each user has in an hour: so run it once an hour at most.
    Nobody becomes a billed active user by it. What AWS doesn't document is printed, not asserted.
    """
    if case.mode != live_pool.mode:
        pytest.skip(f"the client is {live_pool.mode}")
    stage = LiveStage(live_pool, case)
    outcome = stage.play()
    if outcome.startswith("LimitExceededException"):
        pytest.skip("this user's allowance of the hour is spent")
    record_undocumented(case, outcome)
    if not case.undocumented:
        assert_live(case, outcome)


@pytest.mark.parametrize("mode", get_args(Mode))
def test_live_cases_on_the_emulator(mode, emulator_over_http):
    """The cases for a real pool work with a pool, a client and users that exist already."""
    stage = Stage(emulator_over_http, replace(BY_ID["request-confirmed-legacy"], mode=mode))
    stage.set_up()
    settings = Settings(
        REGION="us-east-1",
        ENDPOINT_URL=emulator_over_http.url,
        USER_POOL_ID=stage.values["pool"],
        CLIENT_ID=stage.values["client"],
        CLIENT_SECRET=stage.secrets[0],
        PREVENT_USER_EXISTENCE_ERRORS=mode,
        ACCESS_KEY_ID="testing",
    )
    for number, user in enumerate(sorted({case.user for case in LIVE} - {"missing"})):
        name = settings[setting_of(user)] = f"user-{number}"
        for step in USERS[user]:
            key = "username" if step.operation in SEAMS else "Username"
            stage.do(replace(step, members={**step.members, key: name}))
    pool = LivePool(settings)
    for case in LIVE:
        if case.mode == mode:
            assert_live(case, LiveStage(pool, case).play())
