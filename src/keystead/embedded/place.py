"""Where the servers' own folders are: in the data folder, if the account that they run as can get there."""

from pathlib import Path

from keystead.embedded.account import Account
from keystead.embedded.errors import EmbeddedError
from keystead.embedded.runtime import name_for

STATE = Path("/var/lib/keystead")
_LINK = "elsewhere"
_PASSABLE = 0o711  # others may pass through to what is theirs, and list nothing


def find_place(folder: Path, account: Account) -> Path:
    """The folder that holds the servers' folders, the same one at every start.

    Root's servers run as somebody else. Where they cannot get to the data folder, it holds a link to the place.
    """
    if not account.is_other:
        return folder
    link = folder / _LINK
    if link.is_symlink():
        return _follow(link)
    if account.can_reach(folder.parent):
        folder.chmod(_PASSABLE)
        return folder
    if (folder / "postgres").exists():
        raise EmbeddedError(
            f"{folder} has a database, but the servers, which run as `nobody`, cannot get there: let them pass "
            "(chmod o+x on the folders above), or move it to where everybody may pass."
        )
    place = STATE / name_for(folder)
    make_passable(place)
    link.symlink_to(place)
    return place


def find_database(folder: Path) -> Path | None:
    """The database that belongs to a data folder, wherever it is."""
    for place in (folder, folder / _LINK, STATE / name_for(folder)):
        if (place / "postgres").exists():
            return (place / "postgres").resolve()
    return None


def make_passable(folder: Path) -> None:
    """Make a folder of root's that others may pass through. Raises EmbeddedError when it would not help them."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in (folder, folder.parent):
        each.chmod(_PASSABLE)


def _follow(link: Path) -> Path:
    place = link.readlink()
    if not place.is_dir():
        raise EmbeddedError(
            f"{link} leads to {place}, which is gone, and the database with it: restore that folder from a backup. "
            f"If its data may be lost, remove {link}."
        )
    return place
