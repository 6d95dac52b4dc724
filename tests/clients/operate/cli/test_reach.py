"""Where the broker is, who asks, and what happens if not."""

import json


def test_exit_codes(own_broker, line):
    broker = own_broker()
    bongsu = line(broker)
    assert "cannot reach" in bongsu("status", "--url", "http://127.0.0.1:1", code=5).err
    assert "cannot reach" in bongsu("consume", "q", "--url", "amqp://127.0.0.1:1", code=5).err
    bongsu("status", BONGSU_PASSWORD="wrong", code=4)
    bongsu("queue", "purge", "nothing", code=3)
    bongsu("queue", "declare", code=2)
    bongsu("status", "--url", "ftp://there", code=2)
    bongsu("status", "--url", "amqp://127.0.0.1", code=2)
    assert "http://" in bongsu("status", "--url", "there", code=2).err


def test_a_credentials_file_is_for_nobody_else(own_broker, line, tmp_path):
    broker = own_broker()
    bongsu = line(broker)
    file = tmp_path / ".config" / "bongsu" / "credentials"
    file.parent.mkdir(parents=True)
    file.write_text('user = "guest"\npassword = "wrong"\n')
    file.chmod(0o644)
    said = bongsu("status", code=2).err
    assert "chmod 600" in said and "wrong" not in said
    file.chmod(0o600)
    said = bongsu("status", code=4).err
    assert "wrong" not in said
    file.write_text('user = "guest"\npassword = "guest"\n')
    bongsu("status")
    secret = tmp_path / "secret"
    secret.write_text("guest\n")
    bongsu("status", "--user", "guest", "--password-file", secret)
    bongsu("status", "--user", "guest", "--password-file", "-", stdin="guest\n")


def test_names_do_not_move_the_terminal(own_broker, line):
    bongsu = line(own_broker())
    hostile = "q\x1b[2J\x07"
    bongsu("queue", "declare", hostile)
    shown = bongsu("queue", "list").out
    assert "\x1b" not in shown and "\\u{1b}[2J" in shown
    assert bongsu("queue", "list", "--json").json[0]["name"] == hostile


def test_a_broker_does_not_take_them_for_settings(own_broker, line):
    broker = own_broker(environment={"BONGSU_URL": "http://there", "BONGSU_USER": "u"})
    assert json.loads(line(broker)("status", "--json").out)["version"]
