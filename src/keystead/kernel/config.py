"""The settings loader: files and environment in, one checked tree of structs out, every problem at once."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import msgspec
import yaml
from dotenv import dotenv_values

from keystead.kernel.secrets import Secret

PREFIX = "APP_"
S = TypeVar("S", bound=msgspec.Struct)
Key = tuple[str, ...]  # ("auth", "argon2", "iterations")
ANY_NAME = "NAME"  # stands in a key for a name that the operator chooses


class ConfigError(Exception):
    """What is wrong with the configuration: every problem, each with its mend."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Given:
    """A value somebody set, and where."""

    value: object
    source: str


@dataclass(frozen=True, slots=True)
class Leaf:
    """One setting as the schema declares it."""

    key: Key
    type: Any
    default: object  # msgspec.NODEFAULT when there is none
    description: str

    @property
    def name(self) -> str:
        return ".".join(self.key)

    @property
    def variable(self) -> str:
        return PREFIX + "__".join(self.key).upper()

    @property
    def is_secret(self) -> bool:
        return Secret in _members(self.type)


def leaves(schema: type[msgspec.Struct], above: Key = ()) -> Iterator[Leaf]:
    """Every setting below `schema`, in the order of declaration."""
    for field in msgspec.structs.fields(schema):
        key = (*above, field.name)
        if (named := _struct_by_name(field.type)) is not None:
            yield from leaves(named, (*key, ANY_NAME))
        elif _is_by_name(field.type):
            yield Leaf((*key, ANY_NAME), str, msgspec.NODEFAULT, _description(field.type))
        elif isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from leaves(field.type, key)
        else:
            default = field.default
            if field.default_factory is not msgspec.NODEFAULT:
                default = field.default_factory()
            yield Leaf(key, field.type, default, _description(field.type))


def gather(
    folder: Path, environ: Mapping[str, str], profiles: tuple[str, ...]
) -> tuple[str, dict[Key, Given]]:
    """The profile, and what was set: environment over .env.local over .env over profile file over default file."""
    variables: dict[str, Given] = {}
    for name in (".env", ".env.local"):
        for variable, text in dotenv_values(folder / name, interpolate=False).items():
            if text is not None:
                variables[variable] = Given(text, f"{name}: {variable}")
    variables |= {name: Given(text, name) for name, text in environ.items()}
    profile = str(variables["APP_ENV"].value) if "APP_ENV" in variables else profiles[0]
    if profile not in profiles:
        raise ConfigError([f"APP_ENV is {profile!r}: use one of {', '.join(profiles)}."])
    given: dict[Key, Given] = {}
    for file in ("default.yaml", f"{profile}.yaml"):
        given |= _read_yaml(folder / "config" / file)
    given |= _read_variables(variables)
    return profile, given


def build(schema: type[S], given: Mapping[Key, Given], problems: list[str], above: Key = ()) -> S | None:
    """A `schema` of what was given and the defaults, or None with what is wrong appended to `problems`."""
    values: dict[str, object] = {}
    for field in msgspec.structs.fields(schema):
        key = (*above, field.name)
        if (named := _struct_by_name(field.type)) is not None:
            names = {each[len(key)] for each in given if each[: len(key)] == key and len(each) > len(key)}
            values[field.name] = {name: build(named, given, problems, (*key, name)) for name in sorted(names)}
        elif _is_by_name(field.type):
            values[field.name] = {
                each[-1]: _convert(str, each, given[each], problems)
                for each in sorted(given)
                if each[:-1] == key
            }
        elif isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            values[field.name] = build(field.type, given, problems, key)
        elif key in given:
            values[field.name] = _convert(field.type, key, given[key], problems)
    return None if problems else schema(**values)


def find_unknown(schema: type[msgspec.Struct], given: Mapping[Key, Given]) -> Iterator[str]:
    """A sentence for each setting that does not exist, with the nearest one that does."""
    known = {leaf.name: leaf for leaf in leaves(schema)}
    patterns = {leaf.key for leaf in known.values() if ANY_NAME in leaf.key}
    for key, value in given.items():
        name = ".".join(key)
        if name not in known and not any(_fits(key, pattern) for pattern in patterns):
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]} ({known[near[0]].variable})?" if near else ""
            yield f"{name} (from {value.source}) is not a setting of Keystead.{hint}"


def _convert(wanted: Any, key: Key, given: Given, problems: list[str]) -> object:
    value = given.value
    if isinstance(value, str) and _is_list(wanted):
        value = [item.strip() for item in value.split(",") if item.strip()]
    try:
        return msgspec.convert(value, wanted, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        problems.append(f"{'.'.join(key)} (from {given.source}): {str(error).rstrip('.')}.")
        return None


def _decode(wanted: type, value: object) -> object:
    if wanted is Secret and isinstance(value, str):
        return Secret(value)
    if wanted is Path and isinstance(value, str):
        return Path(value).expanduser()
    raise TypeError(f"Expected text, got {type(value).__name__}")


def _read_yaml(path: Path) -> dict[Key, Given]:
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError([f"{path} cannot be read as YAML: {error}"]) from error
    if not isinstance(content, dict | None):
        raise ConfigError([f"{path} must hold sections, such as `server:` with `port: 3000` below it."])
    return dict(_flatten(content or {}, str(path)))


def _flatten(section: Mapping[object, object], source: str, above: Key = ()) -> Iterator[tuple[Key, Given]]:
    for name, value in section.items():
        key = (*above, str(name))
        if isinstance(value, dict):
            yield from _flatten(value, source, key)
        else:
            yield key, Given(value, source)


def _read_variables(variables: Mapping[str, Given]) -> dict[Key, Given]:
    given: dict[Key, Given] = {}
    for name, value in variables.items():
        if not name.startswith(PREFIX) or "__" not in name:
            continue
        text, stem = value, name.removeprefix(PREFIX).lower()
        if stem.endswith("_file"):
            stem = stem.removesuffix("_file")
            text = _read_file(value)
            if name.removesuffix("_FILE") in variables:
                raise ConfigError(
                    [f"{name} and {name.removesuffix('_FILE')} are both set: keep one of them."]
                )
        given[tuple(stem.split("__"))] = text
    return given


def _read_file(pointer: Given) -> Given:
    try:
        return Given(Path(str(pointer.value)).read_text("utf-8").strip(), pointer.source)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{pointer.source} names a file that cannot be read: {error}"]) from error


def _struct_by_name(wanted: Any) -> type[msgspec.Struct] | None:
    """The struct behind each name of a section such as `applications`."""
    member = get_args(wanted)[1] if get_origin(wanted) is dict else None
    return member if isinstance(member, type) and issubclass(member, msgspec.Struct) else None


def _is_by_name(wanted: Any) -> bool:
    """Whether the operator chooses the names of plain texts, as of claims."""
    return any(get_origin(member) is dict and get_args(member)[1] is str for member in _members(wanted))


def _fits(key: Key, pattern: Key) -> bool:
    return len(key) == len(pattern) and all(
        wanted in (part, ANY_NAME) for part, wanted in zip(key, pattern, strict=True)
    )


def _members(wanted: Any) -> tuple[Any, ...]:
    """`wanted` and what it is made of: Annotated and unions are looked through."""
    return (
        wanted,
        *(inner for argument in get_args(wanted) for inner in _members(argument)),
    )


def _is_list(wanted: Any) -> bool:
    return any(get_origin(member) in (list, tuple) for member in _members(wanted))


def _description(wanted: Any) -> str:
    for member in get_args(wanted):
        if isinstance(member, msgspec.Meta) and member.description:
            return member.description
    return ""
