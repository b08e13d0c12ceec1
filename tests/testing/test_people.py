"""Pools, app clients and users from a file, and the server that has them."""

from __future__ import annotations

import copy
import http.client
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cognito_reset.testing import Emulator, FixtureError, load, serve
from cognito_reset.testing.__main__ import main

DOCS = Path(__file__).resolve().parents[2] / "docs" / "emulator.md"
[BLOCK] = re.findall(r"^```json\n(.*?)^```", DOCS.read_text(), re.M | re.DOTALL)
EXAMPLE = json.loads(BLOCK)
USERS = EXAMPLE["pools"][0]["users"]


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "people.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def test_the_example_of_the_docs(write):
    """Every user of it can do what its status allows."""
    emulator = Emulator()
    load(emulator, write(EXAMPLE))
    [(pool, found)] = emulator.pools.items()
    assert pool == EXAMPLE["pools"][0]["id"]
    assert found["clients"] == [client["id"] for client in EXAMPLE["pools"][0]["clients"]]
    assert found["users"] == [user["username"] for user in USERS]
    status, _ = emulator.handle("ForgotPassword", {"ClientId": "web", "Username": "alice"})
    assert (status, emulator.outbox[-1].destination) == (200, "alice@example.com")
    auth = {"USERNAME": "alice", "PASSWORD": USERS[0]["password"]}
    body = {"ClientId": "web", "AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": auth}
    assert emulator.handle("InitiateAuth", body)[0] == 200
    _, answer = emulator.handle("ListUsers", {"UserPoolId": pool})
    states = {user["Username"]: (user["UserStatus"], user["Enabled"]) for user in answer["Users"]}
    assert states == {
        user["username"]: (user.get("status", "CONFIRMED"), user.get("enabled", True))
        for user in USERS
    }


def test_contacts_as_usernames(write):
    """Without "username", a contact is the username, and the sub is what Cognito shows."""
    pool = {"id": "eu-west-1_A", "sign_in_with": ["email"], "clients": [{"id": "web"}]}
    emulator = Emulator()
    load(emulator, write({"pools": [{**pool, "users": [{"username": "alice@example.com"}]}]}))
    body = {"ClientId": "web", "Username": "alice@example.com"}
    assert emulator.handle("ForgotPassword", body)[0] == 200
    assert "@" not in emulator.outbox[0].username


def changed(path, value):
    """Return the example with another value at a path such as ``("pools", 0, "id")``."""
    content = copy.deepcopy(EXAMPLE)
    place = content
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return content


POOL = ("pools", 0)
USER = (*POOL, "users", 1)


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("pools",), {}, "pools: It is not a list."),
        (("pool",), [], 'pool: This key is unknown. Write "pools" instead.'),
        (("x",), [], "x: This key is unknown. Write one of pools instead."),
        (POOL, "eu-west-1_A", "pools[0]: It is not an object. Write {…} with the keys id, "),
        ((*POOL, "id"), 1, "pools[0].id: It is not a text. Write a pool's id like"),
        ((*POOL, "id"), "A B", "pools[0].id: 1 validation error detected"),
        ((*POOL, "sign_in_with"), ["name"], "pools[0].sign_in_with: It has another name"),
        ((*POOL, "password_policy"), {"MinimumLength": 1}, "pools[0].password_policy: "),
        ((*POOL, "settings"), {"MfaConfiguration": "MAYBE"}, "pools[0].settings: "),
        ((*POOL, "settings"), {"MfaConfig": "ON"}, "pools[0].settings: "),
        ((*POOL, "password_policy"), {"MinLength": 12}, "pools[0].password_policy: "),
        ((*POOL, "clients"), [{"id": "a"}, {"id": "a"}], "pools[0].clients[1].id: The app client a"),
        ((*POOL, "clients"), [{"id": "a", "secret": "abc"}], "pools[0].clients[0].secret: "),
        ((*POOL, "clients"), [{"id": "a", "settings": {"ReadAttributes": 1}}], "pools[0].clients[0].settings: "),
        (USER, {"email": "bob@example.com"}, 'pools[0].users[1]: The key "username" is missing.'),
        ((*USER, "email"), "example.com", "pools[0].users[1].email: Invalid email address format. Write an"),
        ((*USER, "email"), "alice@example.com", "pools[0].users[1].email: An account with the email already exists."),
        ((*USER, "phone_number"), "0171", "pools[0].users[1].phone_number: Invalid phone number format. Write a"),
        ((*USER, "username"), "alice", "pools[0].users[1].username: The user exists already. Write a"),
        ((*USER, "password"), "secretpw", "pools[0].users[1].password: Password does not conform"),
        ((*USER, "status"), "OK", 'pools[0].users[1].status: "OK" is not one of CONFIRMED'),
        ((*USER, "enabled"), "no", "pools[0].users[1].enabled: It is not true or false."),
        ((*USER, "e_mail"), "a@b", 'pools[0].users[1].e_mail: This key is unknown. Write "email" instead.'),
        ((*USER, "attributes"), {"name": 1}, "pools[0].users[1].attributes.name: It is not a text."),
        ((*USER, "attributes"), {"shoe": "1"}, "pools[0].users[1].attributes: Attributes did not conform"),
        ((*USER, "groups"), [1], "pools[0].users[1].groups[0]: It is not a text."),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_used(write, path, value, expected):
    """The error names the file, the place and what to do, and no password."""
    file = write(changed(path, value))
    with pytest.raises(FixtureError) as caught:
        load(Emulator(), file)
    text = str(caught.value)
    assert text.startswith(f"{file}: {expected}")
    assert text.endswith(".")
    assert "secretpw" not in text


def test_a_pool_twice(write):
    """Each pool has its own id."""
    file = write({"pools": EXAMPLE["pools"] * 2})
    with pytest.raises(FixtureError, match=r"pools\[1\]\.id: The pool .* exists already"):
        load(Emulator(), file)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"pools": [\n  {"id": }]}', r"line 2, column 10: Expecting value\. Correct the JSON"),
        ("[" * 100_000, "It is not JSON in UTF-8"),
        ("[]", r'It is not an object\. Write \{"pools": '),
    ],
)
def test_a_file_that_is_not_such_json(write, text, expected):
    """The error names the line."""
    with pytest.raises(FixtureError, match=expected):
        load(Emulator(), write(text))


def test_a_file_that_cannot_be_read(tmp_path):
    """It is missing, or in another encoding."""
    with pytest.raises(FixtureError, match=r"No such file or directory\. Name a file"):
        load(Emulator(), tmp_path / "people.json")
    (tmp_path / "latin.json").write_bytes('{"pools": "Zoë"}'.encode("latin-1"))
    with pytest.raises(FixtureError, match="It is not JSON in UTF-8"):
        load(Emulator(), tmp_path / "latin.json")


def test_the_server_with_a_file(write):
    """It prints the ids that were loaded, and its first page leads to the outbox."""
    file = write(EXAMPLE)
    command = [sys.executable, "-m", "cognito_reset.testing", "--port", "0", "--load", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        lines = list(
            iter(process.stdout.readline, "Ctrl-C stops the server, which forgets everything.\n")
        )
        process.terminate()
        assert process.wait(30) == 0
    text = "".join(lines)
    assert f"Loaded {file}:" in text
    assert f"eu-west-1_Example01  clients: web, staff  users: {len(USERS)}" in text
    assert f"{url}/outbox" in text


def test_the_first_page(write):
    """It is for people who don't know the addresses, and for scripts that wait for the server."""
    emulator = Emulator()
    load(emulator, write(EXAMPLE))
    with serve(emulator) as server:
        for _ in range(2):
            emulator.handle("ForgotPassword", {"ClientId": "web", "Username": "alice"})
        found = {}
        for path in ("/", "/outbox", "/favicon.ico"):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
            connection.request("GET", path)
            answer = connection.getresponse()
            found[path] = answer.status, json.load(answer)
            connection.close()
    assert found["/"] == (200, {"outbox": f"{server.url}/outbox", "pools": emulator.pools})
    newest_first = [message.as_json() for message in reversed(emulator.outbox)]
    assert found["/outbox"] == (200, newest_first)
    assert found["/favicon.ico"][0] == 404


def test_the_server_with_a_bad_file(write, capsys):
    """It ends with one line and status 2."""
    with pytest.raises(SystemExit) as caught:
        main(["--load", str(write("[]"))])
    assert caught.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "people.json: It is not an object. " in line
