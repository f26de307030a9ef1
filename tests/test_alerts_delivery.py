"""Messages of alerts go out over real sockets: once where all is well, again where it is not, and
never in a way that somebody else could read or forge."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import socket
import time
from dataclasses import replace

import pytest
import receivers
from receivers import Receiver
from sqlalchemy import Engine, select

from propensia import alerts
from propensia.alerts import limits, mail, webhook
from propensia.alerts.channels import channels
from propensia.alerts.delivery import pause_ms
from propensia.alerts.errors import NotDelivered
from propensia.journal.records import DAY_MS
from propensia.settings import Settings
from propensia.store import alerts as store
from propensia.store import schema

NOW = 1_790_000_000_000
SECRET = "secreto-de-prueba"
PAYLOAD = json.dumps(
    {
        "texto": "La deriva de «provincia» es 0,41; se avisa desde 0,25",
        "text": "The drift of «provincia» is 0.41",
        "version": "0123456789ab",
        "momento": "2026-09-21T00:00:00+00:00",
        "maquina": "uno",
    }
)


def hooked(settings: Settings, receiver: Receiver, path: str = "/avisos?de=uno") -> Settings:
    url = f"http://127.0.0.1:{receiver.port}{path}"
    return replace(settings, alert_webhook=url, alert_secret=SECRET)


def mailed(settings: Settings, receiver: Receiver, user: str = "") -> Settings:
    return replace(
        settings,
        smtp_url=f"smtp://{user}127.0.0.1:{receiver.port}?from=propensia@empresa.example",
        alert_email="ana@empresa.example, luis@empresa.example",
    )


def post(engine: Engine, *names: str, at: int = NOW) -> None:
    with engine.begin() as connection:
        store.post(connection, names, PAYLOAD, at)


def outbox(engine: Engine) -> list[tuple[str, int, str]]:
    of = schema.outbox.c
    with engine.connect() as connection:
        rows = connection.execute(select(of.state, of.attempts, of.problem).order_by(of.id))
        return [tuple(row) for row in rows]


def at_once() -> float:
    return 0.0


# Over HTTP


def test_a_message_arrives_once_signed_and_under_its_id(
    engine: Engine, store_settings: Settings
) -> None:
    with receivers.web("204") as receiver:
        chosen = hooked(store_settings, receiver)
        post(engine, "webhook")
        for _ in range(2):
            assert alerts.deliver(engine, chosen, NOW) is None
    (got,) = receiver.posted
    assert got.target == "/avisos?de=uno"
    assert got.body.decode("utf-8") == PAYLOAD
    stamp, _, signature = got.headers["x-propensia-signature"].partition(",v1=")
    seconds = stamp.removeprefix("t=")
    expected = hmac.new(SECRET.encode(), f"{seconds}.{PAYLOAD}".encode(), hashlib.sha256)
    assert signature == expected.hexdigest()
    assert abs(time.time() - int(seconds)) < 60
    with engine.connect() as connection:
        (id,) = connection.execute(select(schema.outbox.c.id)).scalars()
    assert got.headers["idempotency-key"] == id
    assert outbox(engine) == [("sent", 1, "")]


def test_without_a_secret_nothing_pretends_to_be_signed() -> None:
    with receivers.web("200") as receiver:
        webhook.send(f"http://127.0.0.1:{receiver.port}", "", "id", b"{}")
    assert "x-propensia-signature" not in receiver.posted[0].headers


@pytest.mark.parametrize("how", ["500", "404", "redirect", "close"])
def test_what_was_not_taken_is_sent_again_under_the_same_id_until_it_is(
    how: str, engine: Engine, store_settings: Settings
) -> None:
    """A redirect is not followed: it could lead anywhere."""
    with receivers.web(how, how, "200") as receiver:
        chosen = hooked(store_settings, receiver)
        post(engine, "webhook")
        now, tried = NOW, []
        for _ in range(3):
            tried.append(alerts.deliver(engine, chosen, now, at_once))
            now += 3_600_000
    assert len(receiver.posted) == 3
    assert len({one.headers["idempotency-key"] for one in receiver.posted}) == 1
    assert all(one.target == "/avisos?de=uno" for one in receiver.posted)
    assert [text is None for text in tried] == [False, False, True]
    assert outbox(engine) == [("sent", 3, "")]


def test_between_two_attempts_it_waits(engine: Engine, store_settings: Settings) -> None:
    with receivers.web("500") as receiver:
        chosen = hooked(store_settings, receiver)
        post(engine, "webhook")
        for seconds in (0, 14, 15, 44, 46):
            alerts.deliver(engine, chosen, NOW + seconds * 1000, at_once)
        assert len(receiver.posted) == 3, "at 0, 15 and 46 s: at least 15, then at least 30 s"


def test_pauses_grow_up_to_an_hour_and_differ() -> None:
    assert [pause_ms(n, 0.0) for n in (1, 2, 3)] == [15_000, 30_000, 60_000]
    assert pause_ms(1, 0.999) > 29_900
    assert pause_ms(500, 0.0) == 1_800_000 and pause_ms(500, 1.0) == 3_600_000


def test_what_hangs_or_drips_costs_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "TIMEOUT_S", 0.4)
    for how in ("hang", "drip"):
        with receivers.web(how) as receiver:
            url = f"http://127.0.0.1:{receiver.port}/"
            with pytest.raises(NotDelivered):
                webhook.send(url, SECRET, "id", b"{}", whole_s=1.0)
            until = time.monotonic() + 30  # the other end may be slower than ours gives up
            while not receiver.posted and time.monotonic() < until:
                time.sleep(0.02)
            assert len(receiver.posted) == 1


def test_the_documented_bounds_are_those_of_the_code() -> None:
    assert (limits.TIMEOUT_S, limits.WHOLE_S) == (10.0, 30.0)


def test_gone_is_gone(
    engine: Engine, store_settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with receivers.web("410", "200") as receiver:
        chosen = hooked(store_settings, receiver)
        post(engine, "webhook")
        told = alerts.deliver(engine, chosen, NOW)
        assert told is not None and "HTTP 410" in told
        assert alerts.deliver(engine, chosen, NOW + 3_600_000) is not None, "it stays told"
        assert alerts.deliver(engine, chosen, NOW + 3 * DAY_MS) is None, "but not for ever"
    assert len(receiver.posted) == 1
    assert outbox(engine) == [("failed", 1, "HTTP 410")]


def test_after_a_day_it_is_given_up_and_told(
    engine: Engine, store_settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with receivers.web("503") as receiver:
        chosen = hooked(store_settings, receiver)
        post(engine, "webhook")
        with caplog.at_level(logging.ERROR):
            for hour in range(30):
                told = alerts.deliver(engine, chosen, NOW + hour * 3_600_000)
        assert len(receiver.posted) == 25
    assert told is not None and "1 sin entregar" in told
    assert [record.levelno for record in caplog.records].count(logging.ERROR) == 1
    assert outbox(engine)[0][0] == "failed"


def test_a_process_that_dies_between_the_answer_and_the_note_sends_it_again(
    engine: Engine, store_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Death(BaseException):
        pass

    def dies(*args: object) -> None:
        raise Death

    with receivers.web("200") as receiver:
        chosen = hooked(store_settings, receiver)
        post(engine, "webhook")
        with monkeypatch.context() as patched:
            patched.setattr(store, "settle", dies)
            with pytest.raises(Death):
                alerts.deliver(engine, chosen, NOW)
        alerts.deliver(engine, chosen, NOW + 1000)
        assert len(receiver.posted) == 1, "it may still be under way"
        assert alerts.deliver(engine, chosen, NOW + 121_000) is None
    first, second = receiver.posted
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert outbox(engine) == [("sent", 2, "")]


def test_one_that_is_away_does_not_hold_up_the_other(
    engine: Engine, store_settings: Settings
) -> None:
    with receivers.web("500") as away, receivers.smtp("250") as there:
        chosen = mailed(hooked(store_settings, away), there)
        for _ in range(3):
            post(engine, "webhook", "correo")
        told = alerts.deliver(engine, chosen, NOW)
    assert told == "hay alertas sin entregar (webhook: HTTP 500)"
    assert len(away.posted) == 1, "the others of a channel that fails wait for its next turn"
    assert len(there.mails) == 3


def test_two_machines_send_a_message_once(engine: Engine, store_settings: Settings) -> None:
    with receivers.web("200") as receiver:
        post(engine, "webhook")
        with engine.begin() as connection:
            message = store.claim(connection, ["webhook"], NOW, NOW + 1000)
        assert message is not None
        alerts.deliver(engine, hooked(store_settings, receiver), NOW)
    assert receiver.posted == []


def test_by_default_nothing_is_sent_anywhere(
    engine: Engine, store_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connects(*args: object, **named: object) -> None:
        raise AssertionError("a connection")

    post(engine, "webhook")
    monkeypatch.setattr(socket, "create_connection", connects)
    assert channels(store_settings) == {}
    assert alerts.deliver(engine, store_settings, NOW) is None


# By e-mail


def test_an_email_arrives_with_both_languages_and_an_id_that_stays(
    engine: Engine, store_settings: Settings
) -> None:
    with receivers.smtp("451", "250") as receiver:
        chosen = mailed(store_settings, receiver)
        post(engine, "correo")
        assert alerts.deliver(engine, chosen, NOW) is not None
        assert alerts.deliver(engine, chosen, NOW + 60_000) is None
    (got,) = receiver.mails
    assert receiver.recipients == [["ana@empresa.example", "luis@empresa.example"]]
    assert got["From"] == "propensia@empresa.example"
    assert got["Subject"].startswith("[Propensia] La deriva de «provincia» es 0,41")
    text = got.get_content()
    assert text.index("se avisa desde") < text.index("The drift") < text.index("0123456789ab")
    with engine.connect() as connection:
        (id,) = connection.execute(select(schema.outbox.c.id)).scalars()
    assert got["Message-ID"] == f"<{id}.propensia@empresa.example>"
    assert outbox(engine) == [("sent", 2, "")]


def test_user_and_password_come_from_the_address_and_go_nowhere_else(
    engine: Engine, store_settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with receivers.smtp("auth") as receiver:
        post(engine, "correo")
        chosen = mailed(store_settings, receiver, "av%40isos:cl%3Aave@")
        assert alerts.deliver(engine, chosen, NOW) is None
    assert [base64.b64decode(text) for text in receiver.logins] == [b"\0av@isos\0cl:ave"]
    with receivers.smtp("250") as receiver, caplog.at_level(logging.DEBUG):
        post(engine, "correo")
        told = alerts.deliver(engine, mailed(store_settings, receiver, "av%40isos:cl%3Aave@"), NOW)
    assert told is not None, "a server without log-in does not get the password"
    assert receiver.logins == []
    for place in (told, caplog.text, str(outbox(engine))):
        assert "ave" not in place and "isos" not in place and "empresa" not in place


@pytest.mark.parametrize("how", ["hang", "close", "550"])
def test_a_mail_server_that_fails_is_told_in_a_word(
    how: str, engine: Engine, store_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "hang":
        monkeypatch.setattr(mail, "TIMEOUT_S", 0.4)
    with receivers.smtp(how) as receiver:
        post(engine, "correo")
        told = alerts.deliver(engine, mailed(store_settings, receiver), NOW)
    assert told is not None
    words = {
        "hang": "SMTPServerDisconnected",
        "close": "SMTPServerDisconnected",
        "550": "SMTP 550",
    }
    assert words[how] in told
    assert receiver.mails == []


def test_to_another_machine_nothing_goes_in_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of this machine, asked for by a name that is not taken for one."""
    monkeypatch.setattr(mail, "is_loopback", lambda host: False)
    with receivers.smtp("auth") as receiver, pytest.raises(NotDelivered, match="STARTTLS"):
        url = f"smtp://ana:clave@127.0.0.1:{receiver.port}"
        mail.send(url, ["ana@empresa.example"], "id", "asunto", "texto")
    assert (receiver.logins, receiver.mails) == ([], [])


@pytest.mark.parametrize("subject", ["dos\nBcc: otro@malo.example", "dos\r\nlíneas"])
def test_no_subject_adds_a_header(subject: str) -> None:
    with receivers.smtp("250") as receiver, pytest.raises(NotDelivered):
        mail.send(
            f"smtp://127.0.0.1:{receiver.port}", ["ana@empresa.example"], "id", subject, "texto"
        )
    assert receiver.mails == []
