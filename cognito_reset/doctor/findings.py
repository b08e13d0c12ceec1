"""
Everything that ``manage.py cognito_reset doctor`` can find, each declared once. docs/doctor.md has a table of them,
which is written from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

_DOCS: Final = "https://django-cognito-reset.readthedocs.io/en/latest/"


class Level(StrEnum):
    """
    - ``ERROR``: people can't reset their passwords, or an attack is open.
    - ``WARNING``: it works, but some people can't use it, or it is less safe than it could be.
    - ``UNKNOWN``: the doctor can't see it.
    - ``INFO``: a fact that the site should know.
    - ``OK``: it is as it should be.
    """

    ERROR = "error"
    WARNING = "warning"
    UNKNOWN = "unknown"
    INFO = "info"
    OK = "ok"


class Finding(Enum):
    """A finding: its level, its title, and what to do. Its id is its name in lower case, which never changes."""

    def __init__(self, level: Level, title: str, fix: str = "") -> None:
        self.level = level
        self.title = title
        self.fix = fix

    @property
    def id(self) -> str:
        return self.name.lower()

    # fmt: off
    # The settings, and the way to Cognito.
    SETTINGS_UNUSABLE = (
        Level.ERROR, "A setting can't be used.",
        'Run "manage.py check", which names the setting and what it accepts.')
    COGNITO_REACHED = (Level.OK, "Cognito answers.")
    ENDPOINT_TIMEOUT = (
        Level.ERROR, "The connection to Cognito gets no answer, as when a firewall drops it.",
        "Let the servers connect to the address on port 443: check the firewall, the security groups, the routes and "
        "the NAT gateway. If the servers reach the internet only through a proxy, set PROXIES.")
    PRIVATE_ENDPOINT_TIMEOUT = (
        Level.ERROR, "Cognito's name leads to a private address, and the connection to it gets no answer.",
        "This is a VPC endpoint. Let its security group accept port 443 from the servers, and check that it is in their "
        "VPC. If the servers should not use it, turn off its private DNS names.")
    ENDPOINT_REFUSED = (
        Level.ERROR, "The connection to Cognito is refused.",
        "Check ENDPOINT_URL. With AWS's own address, a firewall refuses it: let the servers connect to port 443.")
    ENDPOINT_NAME_UNKNOWN = (
        Level.ERROR, "The name of Cognito's address can't be resolved.",
        "Check REGION and ENDPOINT_URL, and the servers' DNS. In a VPC without internet, use a VPC endpoint with "
        "private DNS names, and turn on DNS support in the VPC.")
    PROXY_FAILED = (
        Level.ERROR, "The proxy can't be used.",
        "Check PROXIES, and HTTPS_PROXY in the environment: the address, the password, and that the proxy lets CONNECT "
        "through to the address.")
    TLS_FAILED = (
        Level.ERROR, "The connection is not trusted, or the encryption can't be set up.",
        "If a firewall inspects TLS, or ENDPOINT_URL has a certificate of your own, set CA_BUNDLE to the certificates "
        "that signed it. Otherwise update the packages certifi and botocore.")
    NO_ANSWER = (
        Level.ERROR, "No answer comes in time.",
        "Check proxies and firewalls between the servers and Cognito, and https://health.aws.amazon.com for the Region.")
    FOREIGN_ANSWER = (
        Level.ERROR, "Something else than Cognito answers.",
        "Check ENDPOINT_URL, and proxies, portals and firewalls between the servers and Cognito.")
    FIREWALL_BLOCKS = (
        Level.ERROR, "AWS WAF, or a policy of the endpoint, blocks the request.",
        "Let the web ACL of the user pool, and the policy of the VPC endpoint, accept requests from the servers' addresses.")
    COGNITO_FAILS = (
        Level.ERROR, "Cognito answers with an error of its own.",
        "Look at https://health.aws.amazon.com for the Region, and try again.")
    CALLS_REFUSED = (
        Level.ERROR, "This process makes no calls at the moment, because the last ones had no answer or too many are running.",
        "Try again in a minute. The log has cognito_reset.circuit_opened or cognito_reset.busy.")
    RATE_LIMITED = (
        Level.UNKNOWN, "AWS limits the rate of requests at the moment.", "Try again in a few minutes.")
    REPLICA_REGION = (
        Level.ERROR, "REGION is not the pool's own Region, and nobody can reset a password in a replica.",
        "Set REGION to the Region in which the pool was created. Usually USER_POOL_ID begins with it.")
    CLOCK_RIGHT = (Level.OK, "The clock agrees with Cognito's.")
    CLOCK_DRIFTS = (
        Level.WARNING, "The clock differs from Cognito's by more than a minute.",
        "Let the servers set their clocks by NTP. AWS refuses signed requests from 5 minutes on.")
    CLOCK_WRONG = (
        Level.ERROR, "The clock differs so much from Cognito's that AWS refuses signed requests.",
        "Let the servers set their clocks by NTP. Staff's resets, and whatever else needs credentials, fail until then.")
    CLOCK_UNKNOWN = (
        Level.UNKNOWN, "The clock can't be compared, because Cognito's answer had no time.")

    # The app client.
    CLIENT_ACCEPTED = (Level.OK, "Cognito accepts the client id and the client secret.")
    CLIENT_ID_REFUSED = (
        Level.ERROR, "Cognito knows no such app client.",
        "Set CLIENT_ID to the id, not the name, of an app client of this pool, and REGION to the pool's Region.")
    CLIENT_SECRET_REFUSED = (
        Level.ERROR, "Cognito doesn't accept the client secret, or misses it.",
        "Set CLIENT_SECRET to the app client's secret. Remove it if the app client has none.")
    CLIENT_SECRET_UNUSABLE = (
        Level.ERROR, "The callable in CLIENT_SECRET failed, or returned something else than a secret.",
        "The log has a line cognito_reset.site_code_failed or cognito_reset.misconfigured with the reason.")
    CLIENT_UNTESTED = (
        Level.UNKNOWN, "Whether Cognito accepts the client is unknown, because its answer doesn't tell.")
    USERS_HIDDEN = (
        Level.OK, "The app client doesn't reveal who has an account (PreventUserExistenceErrors is ENABLED).")
    USERS_SHOWN = (
        Level.WARNING, "The app client reveals who has an account to whoever calls Cognito directly "
        "(PreventUserExistenceErrors is LEGACY).",
        "Set PreventUserExistenceErrors to ENABLED on the app client. This app hides it either way, but CLIENT_ID alone "
        "is enough to ask Cognito, if the client has no secret.")
    USERS_HIDDEN_UNKNOWN = (
        Level.UNKNOWN, "Whether the app client reveals who has an account (PreventUserExistenceErrors) could not be checked.",
        "Look at the app client in the console, or grant cognito-idp:DescribeUserPoolClient for one run of the doctor.")
    CLIENT_UNREADABLE = (
        Level.UNKNOWN, "The app client's other options can't be read: token revocation, and whether it takes the "
        "visitor's address.",
        "Look at the app client in the console. DescribeUserPoolClient also returns the client's secret: grant it only for a "
        "run of the doctor, or not at all.")
    CLIENT_READABLE = (
        Level.INFO, "The credentials may call DescribeUserPoolClient, which returns the client's secret.",
        "Take that permission away after this run. No other feature needs it.")
    TOKENS_NOT_REVOCABLE = (
        Level.WARNING, "Refresh tokens of this app client can't be revoked one by one (EnableTokenRevocation is off).",
        "Turn on token revocation for the app client, so that sites can end a single session.")
    TOKENS_REVOCABLE = (Level.OK, "Token revocation is on.")

    # The credentials.
    CREDENTIALS_MISSING = (
        Level.UNKNOWN, "There are no usable AWS credentials, so the pool can't be read. The pages and endpoints for "
        "people need none.",
        f"Run the doctor with credentials, for example with AWS_PROFILE. For the policy, see {_DOCS}iam.html.")
    CREDENTIALS_NEEDED = (
        Level.ERROR, "There are no usable AWS credentials, but a setting needs them.",
        f"Give the servers credentials, or switch the setting off. For the policy, see {_DOCS}iam.html.")
    POOL_READ = (Level.OK, "The pool's settings can be read.")
    POOL_UNREADABLE = (
        Level.UNKNOWN, "The pool's settings can't be read (cognito-idp:DescribeUserPool).",
        f"If the permission is missing, grant it to see the rest. For the policy, see {_DOCS}iam.html.")
    POOL_PERMISSION_NEEDED = (
        Level.ERROR, 'PASSWORD_POLICY is "pool", but the permission cognito-idp:DescribeUserPool is missing.',
        "Grant the permission. Until then the pages show Cognito's default rules.")
    POOL_ID_REFUSED = (
        Level.ERROR, "There is no such user pool in the account of these credentials.",
        "Check USER_POOL_ID and REGION, and whether the credentials belong to the pool's account.")
    PERMISSIONS_UNTRIED = (
        Level.UNKNOWN, "Which permissions of staff's features the credentials have was not tried.",
        "Add --permissions. The doctor then calls these operations for a made-up user, and CloudTrail shows that.")
    PERMISSION_THERE = (Level.OK, "The credentials may call an operation of staff's features.")
    PERMISSION_MISSING = (
        Level.INFO, "The credentials may not call an operation of staff's features.",
        f"Grant it if you use the feature. For what each feature needs, see {_DOCS}iam.html.")
    PERMISSION_NEEDED = (
        Level.ERROR, "A setting needs an operation that the credentials may not call.",
        f"Grant it, or switch the setting off. For the policy, see {_DOCS}iam.html.")

    # The pool.
    RECOVERY_OPEN = (Level.OK, "The pool lets users reset their passwords by themselves.")
    RECOVERY_BY_ADMIN_ONLY = (
        Level.ERROR, "The pool doesn't let users reset their passwords by themselves (AccountRecoverySetting is admin_only).",
        "Set AccountRecoverySetting of the pool to verified_email, verified_phone_number or both.")
    RECOVERY_NOT_SET = (
        Level.WARNING, "The pool has no AccountRecoverySetting: codes go by SMS first, also to a phone that is the second factor.",
        "Set AccountRecoverySetting, with verified_email first. Then a phone that is a person's second factor gets no code.")
    RECOVERY_PREFERS_SMS = (
        Level.INFO, "Codes go by SMS first, which is less safe than email where phone numbers can be taken over.",
        "Give verified_email the priority 1 in AccountRecoverySetting, unless your people have only phones.")
    RECOVERY_BLOCKED_BY_MFA = (
        Level.ERROR, "Nobody gets a code: the only contact that recovers an account is the second factor that everybody must have.",
        "Add another contact to AccountRecoverySetting, or another second factor, such as an authenticator app.")
    RECOVERY_CONFLICTS_WITH_MFA = (
        Level.WARNING, "People whose second factor is the only contact that recovers an account get no code.",
        "Add another contact to AccountRecoverySetting, and have people verify it.")
    MFA_UNREADABLE = (
        Level.UNKNOWN, "Which second factors the pool offers can't be read, so whether they conflict with recovery is unknown.",
        "Grant cognito-idp:GetUserPoolMfaConfig to see it.")
    CONTACTS_NOT_VERIFIED = (
        Level.WARNING, "Users don't verify any contact that codes go to, unless your own code has it verified.",
        "Add the contacts of AccountRecoverySetting to AutoVerifiedAttributes. A person without a verified contact "
        "gets no code, and isn't told so.")
    OWN_SENDER = (
        Level.WARNING, "Cognito's own sender sends the mails: 50 a day for the whole AWS account.",
        "Let the pool send with Amazon SES (EmailConfiguration, DEVELOPER).")
    EMAIL_SENDER_RIGHT = (Level.OK, "The pool sends mails with Amazon SES or with a Lambda function.")
    EMAIL_SENDER_UNKNOWN = (
        Level.UNKNOWN, "Whether Amazon SES is in its sandbox, or near its quota, could not be checked.",
        'Run "aws sesv2 get-account" in that Region, and see whether ProductionAccessEnabled is true. To see it '
        f"here, grant ses:GetAccount. For the policy, see {_DOCS}iam.html.")
    EMAIL_IN_SANDBOX = (
        Level.ERROR, "Amazon SES is in its sandbox, where it sends mails only to verified addresses.",
        "Ask AWS for production access to Amazon SES in that Region.")
    EMAIL_SENDING_OFF = (
        Level.ERROR, "Amazon SES sends no mails for this account.",
        "Look at the account dashboard of Amazon SES in that Region, and turn sending on, or ask AWS why it is paused.")
    EMAIL_QUOTA_NEAR = (
        Level.WARNING, "Amazon SES has sent 90 % of the mails that it sends in 24 hours, or more.",
        "Ask AWS for a higher sending quota of Amazon SES in that Region, and look at what sends so many mails.")
    EMAIL_ACCOUNT_RIGHT = (Level.OK, "Amazon SES sends to everybody, and its quota isn't near.")
    EMAIL_FAILS = (
        Level.ERROR, "Cognito reports that the pool can't send mails.",
        "Check EmailConfiguration of the pool, and the verified identity in Amazon SES.")
    SMS_MISSING = (
        Level.WARNING, "Codes may go by SMS, but the pool has no SmsConfiguration.",
        "Configure SMS in the pool, or set AccountRecoverySetting to verified_email alone.")
    SMS_FAILS = (
        Level.ERROR, "Cognito reports that the pool can't send text messages to everybody.",
        "SNSSandbox: ask AWS to move the account out of the SMS sandbox. InvalidSmsRole…: mend the role in SmsConfiguration.")
    SMS_SANDBOX_UNKNOWN = (
        Level.UNKNOWN, "Whether the account is in the SMS sandbox could not be checked.",
        'Run "aws sns get-sms-sandbox-account-status" in that Region. To see it here, grant '
        f"sns:GetSMSSandboxAccountStatus. For the policy, see {_DOCS}iam.html.")
    SMS_IN_SANDBOX = (
        Level.ERROR, "The account is in the SMS sandbox, where Amazon SNS sends text messages only to verified numbers.",
        "Ask AWS to move the account out of the SMS sandbox in that Region.")
    SMS_OUT_OF_SANDBOX = (Level.OK, "The account is not in the SMS sandbox.")
    TEMPLATE_WITHOUT_CODE = (
        Level.ERROR, "A message template of the pool has no {####}, where the code belongs.",
        "Put {####} into VerificationMessageTemplate of the pool. Otherwise Cognito sends no code, or a message without it.")
    TEMPLATES_RIGHT = (Level.OK, "The pool's message templates have a place for the code.")
    POLICY_TOO_SHORT = (
        Level.WARNING, "The pool allows passwords that are shorter than NIST SP 800-63B-4 requires.",
        "Set MinimumLength to 15, or to 8 if everybody must have a second factor.")
    POLICY_COMPOSITION = (
        Level.INFO, "The pool requires kinds of characters, which NIST SP 800-63B-4 forbids, because they make "
        "passwords hard to remember and not harder to guess.",
        "Turn RequireLowercase, RequireUppercase, RequireNumbers and RequireSymbols off, and require more characters.")
    POLICY_FITS_NIST = (Level.OK, "The pool's password policy fits NIST SP 800-63B-4.")
    POLICY_STRICTER = (
        Level.WARNING, "The pool refuses passwords that this site's rules accept, and people learn that only after they "
        "sent the form.",
        'Set PASSWORD_POLICY to "pool", or to the pool\'s policy.')
    POLICY_LAXER = (
        Level.INFO, "This site's rules refuse passwords that the pool accepts.",
        "Change the pool's policy too, because people who sign up or change passwords elsewhere don't meet this site's rules.")
    POLICY_AGREES = (Level.OK, "The pool's password policy and this site's rules agree.")
    CASE_SENSITIVE = (
        Level.WARNING, 'Usernames are case-sensitive: "Alice" and "alice" are two users, and a person who types the '
        "wrong case gets no code.",
        "It can't be changed in an existing pool. Tell people next to the field, or move to a pool with CaseSensitive false.")
    CASE_INSENSITIVE = (Level.OK, "Usernames are not case-sensitive.")
    SIGN_IN_UNSET = (
        Level.INFO, "SIGN_IN_WITH is not set, so the label of the first field names everything that people may sign in with.",
        "Set SIGN_IN_WITH to the names in the detail.")
    SIGN_IN_DIFFERS = (
        Level.WARNING, "SIGN_IN_WITH is not what this pool lets people sign in with.",
        "Set SIGN_IN_WITH to the names in the detail, if nothing else in your site decides it.")
    SIGN_IN_AGREES = (Level.OK, "SIGN_IN_WITH is what the pool lets people sign in with.")
    CONTEXT_UNUSED = (
        Level.WARNING, "FORWARD_ENCODED_DATA or FORWARD_IP_ADDRESS is on, but the pool makes no use of it.",
        "Turn on threat protection, which needs the Plus plan, or switch the settings off.")
    CONTEXT_MISSING = (
        Level.WARNING, "Threat protection is on, but Cognito sees this site's address for every visitor.",
        "Set FORWARD_IP_ADDRESS to True. The app client must have a secret and EnablePropagateAdditionalUserContextData.")
    CONTEXT_REFUSED = (
        Level.WARNING, "FORWARD_IP_ADDRESS is on, but the app client doesn't take the visitor's address.",
        "Turn on EnablePropagateAdditionalUserContextData on the app client, which must have a secret.")
    CONTEXT_RIGHT = (Level.OK, "The settings about visitors' data fit the pool's plan.")
    MAIL_LINK_UNKNOWN = (
        Level.UNKNOWN, "A Lambda function writes the messages. Whether its link leads to this site can't be seen.",
        "Check RESET_URL in the function's environment, if it is this package's: the confirm page of this site.")
    MAIL_WITHOUT_LINK = (
        Level.INFO, "The messages have a code and no link, because the pool has no CustomMessage trigger.",
        f"For a Lambda function that writes a link, which fills in the page, see {_DOCS}message-link.html.")
    METADATA_UNREAD = (
        Level.WARNING, "CLIENT_METADATA or FORWARD_CLIENT_METADATA is set, but the pool has no Lambda function that reads it.",
        "Add the trigger to the pool, for example CustomMessage for the link in the mail, or remove the setting.")

    # The site itself.
    TABLES_THERE = (Level.OK, "The tables are migrated.")
    TABLES_MISSING = (
        Level.ERROR, "The tables are not migrated.", 'Run "manage.py migrate cognito_reset" on that database.')
    DATABASE_DOWN = (
        Level.ERROR, "The database can't be used.", "Check DATABASES, and whether the server runs.")
    LIMITS_OFF = (
        Level.WARNING, "The rate limits are off.", "Remove LIMITS, which is False.")
    LIMITS_WORK = (
        Level.OK, "The store of the rate limits works: a slot was taken once, refused to a rival, and released.")
    LIMITS_INEXACT = (
        Level.ERROR, "The store of the rate limits doesn't count: two attempts got the same slot, or the slot was lost.",
        f"Use Redis, Valkey, Memcached or the database. For what a cache has to guarantee, see {_DOCS}stores.html.")
    LIMITS_DOWN = (
        Level.ERROR, "The store of the rate limits can't be used, so everybody gets 503, or nobody is limited.",
        "The log has cognito_reset.limits_unavailable or cognito_reset.limits_misconfigured with the reason.")
    LIMITS_EVICTED = (
        Level.WARNING, "The cache of the rate limits removes keys when it is full, so limits are forgotten.",
        "Set maxmemory-policy to noeviction, and give the limits a Redis of their own.")
    LIMITS_KEPT = (Level.OK, "The cache of the rate limits removes no keys that haven't expired.")
    LIMITS_EVICTION_UNKNOWN = (
        Level.UNKNOWN, "Whether the cache of the rate limits removes keys when it is full can't be seen.",
        f"For what a cache has to guarantee, see {_DOCS}stores.html.")

    # The site from outside (--url).
    SITE_REACHED = (Level.OK, "The page answers.")
    SITE_UNREACHABLE = (
        Level.ERROR, "The page can't be reached from here.",
        "Check the address, DNS, and that the web server runs. A server may be unable to reach its own public address.")
    SITE_TLS_FAILED = (
        Level.ERROR, "The site's certificate is not trusted.",
        "Renew the certificate, or send the whole chain.")
    SITE_ANSWERS_OTHERWISE = (
        Level.ERROR, "The address doesn't answer with the page.",
        "Pass the address of the first page, where you include cognito_reset.urls. 400 means that ALLOWED_HOSTS lacks the name.")
    SITE_WITHOUT_HTTPS = (
        Level.ERROR, "The page is served over plain http, so that others can read passwords and codes.",
        "Serve it over https, and set SECURE_SSL_REDIRECT.")
    SITE_ON_LOOPBACK = (
        Level.INFO, "The page is served over plain http, but only on this machine, so nobody else can read what is sent.",
        "Pass the public address, once there is one, to examine https, its headers and the cookies.")
    HTTPS_NOT_ENFORCED = (
        Level.WARNING, "The same address over http doesn't redirect to https.",
        "Set SECURE_SSL_REDIRECT, or let the proxy redirect.")
    HTTPS_ENFORCED = (Level.OK, "The same address over http redirects to https, or isn't served.")
    HSTS_MISSING = (
        Level.WARNING, "The page has no Strict-Transport-Security header.", "Set SECURE_HSTS_SECONDS.")
    HSTS_THERE = (Level.OK, "The page has a Strict-Transport-Security header.")
    COOKIES_NOT_SECURE = (
        Level.WARNING, "The page sets a cookie without the Secure flag.",
        "Set CSRF_COOKIE_SECURE and SESSION_COOKIE_SECURE to True.")
    COOKIES_SECURE = (Level.OK, "The cookies that the page sets have the Secure flag.")
    CSP_MISSING = (
        Level.INFO, "The page has no Content-Security-Policy.",
        f"See {_DOCS}csp.html for a policy that the pages work under.")
    CSP_BLOCKS = (
        Level.ERROR, "The Content-Security-Policy blocks what the page needs.",
        f"See {_DOCS}csp.html for a policy that the pages work under.")
    CSP_FITS = (Level.OK, "The page works under the site's Content-Security-Policy.")
    PROXY_SEEN = (
        Level.WARNING, "A proxy has answered, but TRUSTED_PROXIES is not set: all visitors may share one rate limit.",
        "Set TRUSTED_PROXIES, unless the server itself passes on the visitor's address, as Mangum and waitress with "
        f"--trusted-proxy do: see {_DOCS}proxies.html.")
    VISITORS_UNKNOWN = (
        Level.UNKNOWN, "Which address the site takes for a visitor's can't be seen from outside.",
        f"The network column of the admin's reset events shows it: see {_DOCS}proxies.html.")
    CORS_REFUSED = (
        Level.WARNING, "The endpoint for other origins refuses the preflight request of one that the settings allow.",
        "Put CorsMiddleware first, and let the proxy pass OPTIONS through. The endpoint for AWS SDKs also needs "
        f"CORS_ALLOW_HEADERS: see {_DOCS}spa.html.")
    CORS_UNTRIED = (
        Level.UNKNOWN, "Whether other origins can use the endpoint was not tried, because the settings have only patterns.",
        "Try it in a browser, from a page of such an origin.")
    CORS_WORKS = (
        Level.OK, "The endpoint for other origins accepts the preflight request of one that the settings allow.")
    # fmt: on


@dataclass(frozen=True)
class Result:
    """
    A finding of one examination. ``detail`` tells what was seen; it contains no secret and no user's name. ``pool`` is the
    pool's alias, or "" if it isn't about one pool.
    """

    finding: Finding
    detail: str = ""
    pool: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the result as docs/doctor.md describes it."""
        return {
            "id": self.finding.id,
            "level": self.finding.level.value,
            "pool": self.pool,
            "title": self.finding.title,
            "detail": self.detail,
            "fix": self.finding.fix,
        }
