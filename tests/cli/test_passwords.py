"""`keystead passwords`, and what the file of known passwords means for other commands."""

import pytest

from tests.users.known_passwords.lists import published

pytestmark = pytest.mark.anyio

STOLEN = "a certain phrase that was stolen"


@pytest.fixture
async def built(keystead, tmp_path):
    (tmp_path / "hashes.txt").write_text(published([STOLEN, "another of them"]) + "no hash\n")
    (tmp_path / "plain.txt").write_text("and one more of them\n")
    done = await keystead("passwords", "build", "hashes.txt", "plain.txt", "--out", "known")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "3 known passwords in known, 0.5 MB.\n"
    assert "1 lines were no SHA-1" in done.stderr
    return tmp_path / "known"


@pytest.mark.parametrize(
    ("password", "code"), [(STOLEN, 1), ("passwordpassword", 1), ("four tall silent lighthouses", 0)]
)
async def test_check_says_whether_a_password_is_known_and_not_the_password(keystead, built, password, code):
    for more, environ in ((("--file", built), {}), ((), {"APP_AUTH__PASSWORD__BLOCKLIST": str(built)})):
        done = await keystead("passwords", "check", *more, said=f"{password}\n", **environ)
        assert done.returncode == code
        assert done.stdout.splitlines()[0] == ("known" if code else "not known")
        assert "score" in done.stdout
        assert password not in done.stdout + done.stderr


async def test_check_without_a_file_knows_the_commonest(keystead):
    assert (await keystead("passwords", "check", said="passwordpassword\n")).returncode == 1
    assert (await keystead("passwords", "check", said=f"{STOLEN}\n")).returncode == 0
    assert (await keystead("passwords", "check", said="\n")).returncode == 2


async def test_a_password_is_never_an_argument(keystead):
    assert (await keystead("passwords", "check", STOLEN)).returncode == 2


@pytest.mark.parametrize(
    ("listed", "why"), [("missing", "cannot be read"), ("known", "no text"), ("empty", "is empty")]
)
async def test_what_is_no_list_is_named(keystead, built, tmp_path, listed, why):
    (tmp_path / "empty").touch()
    done = await keystead("passwords", "build", listed, "--out", "other")
    assert done.returncode == 2
    assert why in done.stderr
    assert not (tmp_path / "other").exists()


async def test_a_file_that_is_no_filter_is_named_and_prevents_commands_that_might_set_a_password(
    keystead, tmp_path
):
    (tmp_path / "bad").write_text("hunter2\n")
    done = await keystead("passwords", "check", "--file", "bad", said="hunter2\n")
    assert (done.returncode, "no filter" in done.stderr) == (2, True)
    done = await keystead(
        "users",
        "bootstrap",
        "admin@example.com",
        "--password-stdin",
        said="four tall silent lighthouses\n",
        APP_AUTH__PASSWORD__BLOCKLIST=str(tmp_path / "bad"),
    )
    assert done.returncode == 2
    assert "auth.password.blocklist" in done.stderr


async def test_the_first_administrator_gets_no_known_password(keystead, built):
    command = ("users", "bootstrap", "admin@example.com", "--password-stdin")
    done = await keystead(*command, said=f"{STOLEN}\n", APP_AUTH__PASSWORD__BLOCKLIST=str(built))
    assert (done.returncode, done.stdout) == (1, "")
    assert "password: Others know this password" in done.stderr
    assert STOLEN not in done.stderr
    done = await keystead(*command, said="four tall silent lighthouses\n")
    assert done.returncode == 0
