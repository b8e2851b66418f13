"""Secrets in every shape that a document or a terminal gives them: JSON, XML, YAML, keys of many lines, short ones."""

from __future__ import annotations

import json
import threading

import pytest

from netssh_mcp.knowledge.profiles import Profiles
from tests.redaction.figures import redactor

SECRET = "hunter2xyz"
BODY = ["QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqQUJDREVGR0hJSktM"] * 5
PEM = ["-----BEGIN RSA PRIVATE KEY-----", *BODY, "QUJDREVG", "-----END RSA PRIVATE KEY-----"]
IOS = Profiles.load(None).get("cisco_ios")

DOCUMENTS = [
    r'{"\u0070assword": "hunter2xyz"}',
    json.dumps({"a": [{"password": SECRET}]}),
    json.dumps({"a": json.dumps({"b": json.dumps({"password": SECRET})})}),
    '{"passwords": ["hunter2xyz", "x"]}',
    '{"password": {"_text": "hunter2xyz", "type": "7"}}',
    '{\n  "secret":\n    "hunter2xyz"\n}',
    r'{"password": "ab\"hunter2xyz"}',
    '{"a":1,"password": "hunter2xyz',
    "{'password': 'hunter2xyz'}",
    '{"name": "password", "value": "hunter2xyz"}',
    '{"key": "DB_PASSWORD", "value": "hunter2xyz"}',
    '"secret" : [\n {\n "data" : "hunter2xyz"\n }\n ]',
    "<password><![CDATA[hunter2xyz]]></password>",
    '<user password="hunter2xyz"/>',
    "<password>\n  hunter2xyz\n</password>",
    '<ns:password xmlns:ns="x">hunter2xyz</ns:password>',
    "password: >\n  hunter2xyz\n",
    "password: |\n  hunter2xyz\n",
    '"password": hunter2xyz\n',
    "passwords:\n  - hunter2xyz\n",
    "password: &a hunter2xyz\n",
    "password: !x hunter2xyz\n",
    "password: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  hunter2xyz\n",
    "    set password ENC AAAAbbbbCCCC\n    hunter2xyz==\n",
]


@pytest.mark.parametrize("text", DOCUMENTS)
def test_a_value_beside_or_below_its_name_is_hidden(text: str) -> None:
    assert SECRET not in redactor().text(text)
    assert redactor().text(redactor().text(text)) == redactor().text(text)


@pytest.mark.parametrize(
    "text",
    [
        *("\r\n".join(PEM), "\r".join(PEM), " ".join(PEM), "".join(PEM), "\n\n".join(PEM)),
        *(
            "\n".join(before + line for line in PEM)
            for before in ("   ", "> ", "| ", "+", "\t", "/etc/key.pem:", "Nov 21 h x[1]: ")
        ),
        "\n".join(f"{number}: {line}" for number, line in enumerate(PEM)),
        *(json.dumps({"a": "\n".join(PEM)}), json.dumps(json.dumps({"a": "\n".join(PEM)}))),
        *(json.dumps({"key": PEM}, indent=1), json.dumps({"key": PEM})),
        "\n".join(["---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----", *BODY, "---- END SSH2 ENCRYPTED PRIVATE KEY ----"]),
    ],
)
def test_a_private_key_goes_however_it_is_broken_and_what_stands_around_it(text: str) -> None:
    assert "QUJDREVGR0" not in redactor().text(text)


@pytest.mark.parametrize(
    "secret", ["a", "abc", "a|b", "(x", "[q", "пароль", "密码", "secret", "password", "local", "none", "no"]
)
def test_a_secret_that_is_short_or_a_keyword_goes_where_its_type_is_said(secret: str) -> None:
    shown = redactor().text(f"username bob secret 0 {secret}", IOS)
    assert shown.startswith("username bob secret 0 <redacted:")
    assert shown.endswith(">")


def test_public_keys_stay() -> None:
    text = " key-string\n  30820122 300D0609 2A864886 F70D0101\n  quit\nssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ bob\n"
    assert redactor().text(text, IOS) == text


@pytest.mark.parametrize(
    "text",
    [
        "Community  Secret\n----  ----\n" * 20_000,
        ("Password  Secret  Community  " * 12 + "\n") * 3_000 + "a b c\n",
        "password: |\n" * 30_000,
        '"password": {' * 30_000,
        '"password": [' * 30_000,
        "<password>" * 30_000 + "</password>",
        "-----BEGIN RSA PRIVATE KEY-----\n" * 20_000,
        "name: A_KEY\n" * 30_000,
    ],
    ids=lambda text: text[:20],
)
def test_hostile_documents_cost_no_more_than_their_length(text: str) -> None:
    """The first took 160 s when each heading read all the rows below it; a test's time limit would end that."""
    assert redactor().text(text, IOS)


def test_threads_share_a_redactor() -> None:
    engine = redactor()
    text = "\n".join(f"username u{number} secret 0 {SECRET}{number}" for number in range(300))
    expected, seen = engine.text(text, IOS), []
    threads = [threading.Thread(target=lambda: seen.append(engine.text(text, IOS))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [expected] * 8
