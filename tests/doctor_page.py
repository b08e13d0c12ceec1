"""Write docs/doctor.md from the findings in cognito_reset.doctor: ``python -m tests.doctor_page``."""

from __future__ import annotations

import re
from pathlib import Path

from cognito_reset.doctor.findings import Finding

PAGE = Path(__file__).resolve().parent.parent / "docs" / "doctor.md"

TEXT = """\
<!-- Written by `python -m tests.doctor_page` from cognito_reset/doctor/findings.py. Don't edit it by hand. -->

# The doctor

`manage.py cognito_reset doctor` connects to Cognito with your settings, and says what is wrong and how to mend it:

```console
$ python manage.py cognito_reset doctor
ok      cognito_reached [default]: Cognito answers. cognito-idp.eu-west-1.amazonaws.com answered.
ok      clock_right [default]: The clock agrees with Cognito's.
ok      client_accepted [default]: Cognito accepts the client id and the client secret.
warning users_shown [default]: The app client reveals who has an account to whoever calls Cognito directly …
…
1 error, 2 warnings, 3 unknown, 9 ok
CommandError: Something is wrong: 1 error.
```

Each line has a level, the id of the finding, the pool, what was found, and a fix. The ids are stable. The findings are
listed [below](#findings). Run it on a server, with that server's settings, network and credentials, because a laptop may
have others. Run it again after each change of the pool.

```sh
python manage.py cognito_reset doctor --pool brand
python manage.py cognito_reset doctor --url https://www.example.com/password-reset/
python manage.py cognito_reset doctor --permissions
python manage.py cognito_reset doctor --json
```

## What it does

It changes nothing that stays, and no user notices it:

1. **It sends one unsigned request for each pool**: ConfirmForgotPassword with a username of random characters that begins
   with `cognito-reset-doctor-`, and a made-up code and password. Cognito checks the client id and the secret before it
   looks for the user, and it finds none. This operation sends no message, and starts no Lambda function before a code
   is right. The answer shows whether Cognito can be reached, whether it accepts the client, whether the clocks agree, and
   whether the app client reveals who has an account: it is UserNotFoundException if PreventUserExistenceErrors is LEGACY,
   and CodeMismatchException or ExpiredCodeException if it is ENABLED. The request counts against AWS's quota for resets,
   30 a second for the account, and threat protection may list it as a failed attempt of nobody.
2. **It reads the pool**, if there are AWS credentials: DescribeUserPool, GetUserPoolMfaConfig and DescribeUserPoolClient.
   [IAM policies](iam.md#the-doctor) has the policies. What may not be read is `unknown`, with the reason.
3. **It asks Amazon SES and SNS**, if the pool sends codes by them and the credentials may: GetAccount and
   GetSMSSandboxAccountStatus, once each, in the Region that the pool uses them in. The answers show whether they are in their sandboxes,
   whether SES sends mails at all, and how near its quota for 24 hours is. With `ENDPOINT_URL`, it asks only Cognito.
4. **It looks at the tables**, and **tries the store of the limits**: it takes a slot that nobody else can have, lets a rival
   try to take the same one, and releases it.
5. With `--url`, **it asks your site for the first page** as a browser does, once more over plain http, and sends a
   preflight request (CORS) to the REST endpoint, or to the one for AWS SDKs, if django-cors-headers allows an origin.
6. With `--permissions`, **it calls operations of staff's features** for a user that it makes up: ListUsers,
   AdminResetUserPassword, AdminUserGlobalSignOut, AdminEnableUser and AdminConfirmSignUp. IAM decides before Cognito looks
   for the user. CloudTrail lists these calls, and an alarm on refused calls may notice them.

It logs none of Cognito's refusals, so that a permission that you don't grant on purpose raises no alarm. It shows no
secret and no user's name: DescribeUserPoolClient returns the client's secret, which is dropped at once.

## What it can't see

- Whether Amazon SNS is at its spending limit for text messages. `aws sns get-sms-attributes` shows the limit.
- Whether AdminCreateUser, AdminSetUserPassword and AdminGetUser are allowed. It doesn't try them, because they could
  change something or cost money. Look at the policy, and don't grant `cognito-idp:*`.
- What a Lambda function does, and whether a mail arrives. Send yourself a code.
- Whether a web ACL refuses visitors whose address is passed on, and which address your site takes for a visitor's.

## Levels and exit codes

| level | it means | exit code |
|---|---|---|
| `error` | People can't reset their passwords, something that you set up can't work, or others can read what they send. | 3 |
| `warning` | It works, but not for everybody, or less safely than it could. | 1, without errors |
| `unknown` | The doctor can't see it. The detail has the reason. | 0 |
| `info` | A fact that you should know. | 0 |
| `ok` | It is as it should be. | 0 |

The exit code is 2 for wrong usage, 3 also if `manage.py check` finds an error in the settings, and 4 if the command was
interrupted. The last line of the output counts the findings by level.

## JSON

`--json` prints a list with an object for each finding, in the order of the examination, also with the exit codes 1 and 3.
After wrong usage, and if `manage.py check` finds an error, it prints nothing there:

| key | |
|---|---|
| `id` | the finding, as listed below |
| `level` | `error`, `warning`, `unknown`, `info` or `ok` |
| `pool` | the pool's alias in `POOLS`, or `""` if it isn't about one pool |
| `title` | what the finding means: a sentence, the same each time |
| `detail` | what was seen this time, or `""` |
| `fix` | what to do, or `""` |

All values are strings. A later version may add findings and keys; it renames none.

```sh
python manage.py cognito_reset doctor --json | jq -r '.[] | select(.level == "error") | .id'
```

## In the admin

Staff with the permissions `cognito_reset.check_connection` and `cognito_reset.view_resetevent` find a link *State of the
connection* above the list of reset events. The page there examines the pools when somebody presses the button. It leaves
out the store of the limits, `--url` and `--permissions`. The findings are in English.

## Findings

{findings}
"""


#: A page of the documentation, in a fix.
_LINK = re.compile(r"https://django-cognito-reset\.readthedocs\.io/en/latest/([\w-]+)\.html")


def _linked(match: re.Match[str]) -> str:
    """Return a link to the page, with the page's title."""
    title = (PAGE.parent / f"{match[1]}.md").read_text().partition("\n")[0].removeprefix("# ")
    return f"[{title}]({match[1]}.md)"


def page() -> str:
    # A heading for each, so that its id is its anchor.
    return TEXT.format(findings="\n\n".join(map(_section, Finding)))


def _section(finding: Finding) -> str:
    lines = [f"### `{finding.id}`", f"*{finding.level}*: {finding.title}"]
    if finding.fix:
        lines.append(f"Fix: {_LINK.sub(_linked, finding.fix)}")
    return "\n\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page())
