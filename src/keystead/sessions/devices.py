"""Devices: what a session was started with, in words that its owner recognises."""

import json

from keystead.kernel.caller import Origin
from keystead.kernel.ids import UserId
from keystead.sessions.types import Device
from keystead.vault import DataKey, Vault

# In this order: most browsers also name those that they descend from.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("okhttp", "an Android app"),
    ("CFNetwork", "an Apple app"),
    ("Dart/", "a Flutter app"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("Darwin", "Apple"),
    ("Linux", "Linux"),
)
_MAX_NAME = 60


def describe(user_agent: str) -> str:
    """Browser and system, without versions, so that an update makes no new device; else the program's own name."""
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), None)
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), None)
    if browser and system:
        return f"{browser} on {system}"
    if browser or system:
        return str(browser or system)
    program = user_agent.partition("/")[0].strip()
    return program[:_MAX_NAME] if program and program.isprintable() else "an unknown device"


def device_of(origin: Origin) -> Device:
    return Device(describe(origin.user_agent), origin.address)


def seal_device(data_key: DataKey, device: Device) -> bytes:
    text = json.dumps({"name": device.name, "address": device.address}, ensure_ascii=False)
    return data_key.seal(text, table="sessions", column="device")


def open_device(data_key: DataKey, sealed: bytes | None) -> Device | None:
    """Raises vault.Unreadable."""
    if sealed is None:
        return None
    return Device(**json.loads(data_key.open(sealed, table="sessions", column="device")))


def index_device(vault: Vault, user_id: UserId, device: Device) -> bytes:
    """Equal for the same kind of device of one user, and for nothing else."""
    return vault.index(f"{user_id}\0{device.name}", purpose="device_index")
