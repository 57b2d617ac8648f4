"""Settings: where they come from, which wins, and every problem at once with its mend."""

from datetime import timedelta

import pytest

from keystead.applications.definition import build
from keystead.kernel.application import LinkTo
from keystead.kernel.config import ConfigError, leaves
from keystead.kernel.secrets import Secret
from keystead.settings import (
    SAMPLE_SECRETS,
    Settings,
    configured_applications,
    configured_budget,
    defaults_of,
    load,
    masked,
)

SECRET = "Vq8eH2mZ0sKx7LwT4nRb9uYc3GjPdAf6"
PRODUCTION = {
    "APP_ENV": "production",
    "APP_DATABASE__URL": "postgresql://keystead@db/keystead",
    "APP_REDIS__URL": "redis://cache",
    "APP_AUTH__JWT_SECRET": SECRET,
    "APP_SERVER__PUBLIC_URL": "https://id.example.com",
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config").mkdir()
    return tmp_path


def problems(folder, **environ):
    with pytest.raises(ConfigError) as caught:
        load(folder, environ)
    return caught.value.problems


def test_without_anything_set_development_is_safe_and_local(folder):
    settings = load(folder, {}).settings
    assert settings.profile == "development"
    assert settings.server.host == "127.0.0.1"
    assert settings.observability.metrics.prometheus_endpoint == "127.0.0.1:9090"
    assert settings.issuer == settings.public_url == "http://127.0.0.1:3000"
    assert settings.audiences == (settings.issuer,)


def test_production_listens_everywhere_and_asks_for_proof_of_addresses(folder):
    settings = load(folder, PRODUCTION).settings
    assert settings.server.host == "0.0.0.0"
    assert settings.auth.require_verified_email
    assert not settings.database.migrate_on_start
    assert settings.issuer == "https://id.example.com"


def test_environment_over_env_local_over_env_over_profile_over_default(folder):
    def port(environ):
        return load(folder, environ).settings.server.port

    (folder / "config" / "default.yaml").write_text("server: {port: 1001}")
    assert port({}) == 1001
    (folder / "config" / "development.yaml").write_text("server: {port: 1002}")
    assert port({}) == 1002
    (folder / ".env").write_text("APP_SERVER__PORT=1003")
    assert port({}) == 1003
    (folder / ".env.local").write_text("APP_SERVER__PORT=1004")
    assert port({}) == 1004
    assert port({"APP_SERVER__PORT": "1005"}) == 1005


def test_the_profile_may_stand_in_the_env_file(folder):
    (folder / ".env").write_text("APP_ENV=test")
    assert load(folder, {}).settings.profile == "test"


def test_a_secret_may_stand_in_a_file(folder):
    (folder / "secret").write_text(f"{SECRET}\n")
    settings = load(folder, {"APP_AUTH__JWT_SECRET_FILE": str(folder / "secret")}).settings
    assert settings.auth.jwt_secret == Secret(SECRET)


def test_a_secret_file_that_is_missing_or_doubled_is_named(folder):
    (said,) = problems(folder, APP_AUTH__JWT_SECRET_FILE=str(folder / "absent"))
    assert "APP_AUTH__JWT_SECRET_FILE" in said
    (folder / "secret").write_text(SECRET)
    (said,) = problems(folder, APP_AUTH__JWT_SECRET_FILE=str(folder / "secret"), APP_AUTH__JWT_SECRET=SECRET)
    assert "both set" in said


def test_every_problem_is_said_at_once_with_its_source(folder):
    (folder / "config" / "default.yaml").write_text("server: {prot: 1}\nlogging: {level: loud}")
    said = problems(
        folder, APP_SERVER__PORT="99999", APP_AUTH__ARGON2__ITERATIONS="x", APP_AUTH__ISUER="https://x"
    )
    text = "\n".join(said)
    assert len(said) == 5
    for part in ("server.prot", "default.yaml", "APP_SERVER__PORT", "iterations", "logging.level"):
        assert part in text
    assert "Did you mean auth.issuer (APP_AUTH__ISSUER)?" in text


def test_production_names_everything_that_is_missing_and_how_to_set_it(folder):
    said = problems(folder, APP_ENV="production")
    for variable in PRODUCTION.keys() - {"APP_ENV"}:
        assert any(variable in line for line in said)


@pytest.mark.parametrize(
    "secret", ["short", "a" * 64, "abcabcabcabcabcabcabcabcabcabcabcabc", *SAMPLE_SECRETS]
)
def test_a_guessable_root_secret_is_refused_in_production(folder, secret):
    said = problems(folder, **PRODUCTION | {"APP_AUTH__JWT_SECRET": secret})
    assert "auth.jwt_secret" in said[0]
    assert secret not in "\n".join(said)


@pytest.mark.parametrize(
    "argon2",
    [("7168", "4"), ("9215", "4"), ("19456", "1"), ("8", "1")],
)
def test_argon2_below_owasp_is_refused(folder, argon2):
    said = problems(folder, APP_AUTH__ARGON2__MEMORY_KIB=argon2[0], APP_AUTH__ARGON2__ITERATIONS=argon2[1])
    assert "OWASP" in said[0]


@pytest.mark.parametrize(
    "argon2", [("47104", "1"), ("12288", "3"), ("9216", "4"), ("7168", "5"), ("65536", "3")]
)
def test_owasps_equivalents_are_accepted(folder, argon2):
    environ = {"APP_AUTH__ARGON2__MEMORY_KIB": argon2[0], "APP_AUTH__ARGON2__ITERATIONS": argon2[1]}
    assert load(folder, environ).settings.auth.argon2.memory_kib == int(argon2[0])


def test_older_names_stand_for_newer_ones_unless_both_are_set(folder):
    older = {"APP_AUTH__JWT_EXPIRATION_HOURS": "1", "APP_AUTH__PASSWORD_HASH_COST": "13"}
    auth = load(folder, older).settings.auth
    assert (auth.access_token_ttl_secs, auth.argon2.memory_kib) == (3600, 38912)
    said = problems(
        folder, **older, APP_AUTH__ACCESS_TOKEN_TTL_SECS="300", APP_AUTH__ARGON2__MEMORY_KIB="19456"
    )
    assert len(said) == 2
    assert "OWASP" in problems(folder, APP_AUTH__PASSWORD_HASH_COST="11")[0]
    for value in ("x", "inf", "1e9"):
        assert problems(folder, APP_AUTH__PASSWORD_HASH_COST=value)
    assert problems(folder, APP_AUTH__JWT_EXPIRATION_HOURS="25")


def test_settings_of_later_versions_are_taken_with_a_warning(folder):
    later = {
        "APP_DATABASE__REPLICA_URL": "postgresql://replica",
        "APP_OBSERVABILITY__TRACING__ENABLED": "true",
    }
    loaded = load(folder, later)
    assert len(loaded.warnings) == 2
    assert "database.replica_url" in loaded.warnings[0]
    assert "no effect" in loaded.warnings[0]


def test_what_is_allowed_but_unwise_is_warned_about(folder):
    unwise = {
        "APP_AUTH__ACCESS_TOKEN_TTL_SECS": "7200",
        "APP_AUTH__RSA_BITS": "2048",
        "APP_AUTH__PASSWORD__MIN_LENGTH": "8",
        "APP_SERVER__PUBLIC_URL": "http://id.example.com",
    }
    warnings = load(folder, PRODUCTION | unwise).warnings
    assert len(warnings) == 5
    assert any("mail.host" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("APP_CORS__ALLOWED_ORIGINS", "https://app.example.com/"),
        ("APP_CORS__ALLOWED_ORIGINS", "*"),
        ("APP_CORS__ALLOWED_ORIGINS", "null"),
        ("APP_SERVER__TRUSTED_PROXIES", "10.0.0.0/99"),
        ("APP_SERVER__PUBLIC_URL", "id.example.com"),
        ("APP_DATABASE__MIN_CONNECTIONS", "51"),
        ("APP_AUTH__SESSION_IDLE_DAYS", "31"),
        ("APP_OBSERVABILITY__METRICS__PROMETHEUS_ENDPOINT", "9090"),
        ("APP_AUTH__RSA_BITS", "1024"),
        ("APP_AUTH__SIGNING_ALGORITHM", "HS256"),
        ("APP_APPLICATIONS__WEB__MODUS", "cookie"),
        ("APP_APPLICATIONS__WEB__MODE", "jar"),
        ("APP_APPLICATIONS__WEB__ALLOWED_ORIGINS", "https://app.example.com/"),
        ("APP_APPLICATIONS__WEB__LINKS__RESET_URL", "https://app.example.com/reset"),
        ("APP_APPLICATIONS__WEB__LINKS__RESET_URL", "http://app.example.com/reset#{token}"),
        ("APP_APPLICATIONS__WEB__LINKS__RESET_URL", "javascript:alert('{token}')"),
        ("APP_APPLICATIONS__WEB__LINKS__VERIFY_URL", "https://{token}.example.com/"),
        ("APP_MAIL__SENDER", "nobody"),
        ("APP_MAIL__USERNAME", "keystead"),
        ("APP_MAIL__PORT", "0"),
        ("APP_AUTH__PASSWORD__PROFILE", "iso"),
        ("APP_AUTH__PASSWORD__MIN_SCORE", "5"),
        ("APP_AUTH__PASSWORD__BREACH_SERVICE__URL", "http://ranges.example.com/range"),
        ("APP_AUTH__PASSWORD__BREACH_SERVICE__URL", "https://ranges.example.com/range?of="),
        ("APP_AUTH__PASSWORD__BREACH_SERVICE__URL", "https://10.0.0.1/range"),
        ("APP_AUTH__PASSWORD__BREACH_SERVICE__ALLOW_PRIVATE", "nowhere"),
        ("APP_AUTH__PASSWORD__BREACH_SERVICE__TIMEOUT_MS", "60000"),
        ("APP_AUTH__MAX_SESSIONS", "0"),
        ("APP_ENV", "staging"),
    ],
)
def test_values_that_cannot_work_are_refused(folder, variable, value):
    assert problems(folder, **{variable: value})


def test_pci_8_3_6_conflicts_of_the_profile_pci_are_named(folder):
    pci = {"APP_AUTH__PASSWORD__PROFILE": "pci"}
    (warning,) = load(folder, pci).warnings
    assert "6.2.5" in warning
    (problem,) = problems(folder, **pci, APP_AUTH__PASSWORD__MIN_LENGTH="11")
    assert "8.3.6" in problem
    assert len(load(folder, {**pci, "APP_AUTH__PASSWORD__MIN_LENGTH": "12"}).warnings) == 2


@pytest.mark.parametrize(
    ("variables", "attempts", "minutes"),
    [
        ({}, (5, 10), 30),
        (
            {"MAX_LOGIN_ATTEMPTS": "50", "MAX_ACCOUNT_ATTEMPTS": "50", "LOCKOUT_DURATION_MINUTES": "1"},
            (10, 10),
            30,
        ),
        (
            {"MAX_LOGIN_ATTEMPTS": "3", "MAX_ACCOUNT_ATTEMPTS": "6", "LOCKOUT_DURATION_MINUTES": "60"},
            (3, 6),
            60,
        ),
    ],
)
def test_pci_8_3_4_the_profile_pci_takes_ten_attempts_and_pauses_for_half_an_hour_at_least(
    folder, variables, attempts, minutes
):
    given = {f"APP_AUTH__{name}": value for name, value in variables.items()}
    budget = configured_budget(load(folder, {"APP_AUTH__PASSWORD__PROFILE": "pci", **given}).settings)
    assert (budget.per_source, budget.per_account) == attempts
    assert budget.first_delay == budget.longest_delay == timedelta(minutes=minutes)


def test_applications_have_names_of_the_operators_choice(folder):
    settings = load(
        folder,
        {
            "APP_APPLICATIONS__SHOP__MODE": "cookie",
            "APP_APPLICATIONS__SHOP__ALLOWED_ORIGINS": "https://shop.example, https://www.shop.example",
            "APP_APPLICATIONS__SHOP__LINKS__RESET_URL": "https://shop.example/reset#{token}",
        },
    ).settings
    defaults = defaults_of(settings)
    shop = build("shop", configured_applications(settings)["shop"], defaults)
    assert shop.uses_cookies
    assert shop.origins == {"https://shop.example", "https://www.shop.example"}
    assert shop.link(LinkTo.RESET, "tk_x") == "https://shop.example/reset#tk_x"
    assert shop.link(LinkTo.VERIFY, "tk_x") == "http://127.0.0.1:3000/verify/tk_x"
    assert set(configured_applications(settings)) == {"default", "shop"}


def test_claims_stand_in_the_environment_and_in_a_file_by_names_of_any_form(folder):
    (folder / "config" / "default.yaml").write_text(
        """
applications:
  shop:
    claims:
      roles: {admin: shop-admin}
      metadata:
        https://example.com/plan: billing.plan
        tenant.id: org.id
      from_hook: [https://example.com/quota]
"""
    )
    loaded = load(folder, {"APP_APPLICATIONS__SHOP__CLAIMS__METADATA__PLAN": "billing.plan"})
    shop = build("shop", configured_applications(loaded.settings)["shop"], defaults_of(loaded.settings))
    assert shop.claims.metadata == {
        "https://example.com/plan": ("billing", "plan"),
        "tenant.id": ("org", "id"),
        "plan": ("billing", "plan"),
    }
    assert shop.claims.show(("admin", "user")) == ("shop-admin",)
    assert shop.claims.from_hook == {"https://example.com/quota"}
    shown = masked(loaded.settings)["applications"]["shop"]["claims"]
    assert shown["metadata"]["https://example.com/plan"] == "billing.plan"


@pytest.mark.parametrize(
    ("variable", "value", "key"),
    [
        ("SHOP__NAME", "x" * 61, "applications.shop.name"),
        ("SHOP__AUDIENCE", "two words", "applications.shop.audience"),
        ("SHOP__ALLOWED_ORIGINS", "https://a.example,null", "applications.shop.allowed_origins.1"),
        ("SHOP__REDIRECT_URLS", "https://a.example", "applications.shop.redirect_urls.0"),
        ("SHOP__LINKS__RESET_URL", "https://a.example/", "applications.shop.links.reset_url"),
        ("SHOP__ACCESS_TOKEN_TTL_SECS", "1", "applications.shop.access_token_ttl_secs"),
        ("SHOP__ACCESS_TOKEN_TTL_SECS", "soon", "applications.shop.access_token_ttl_secs"),
        ("SHOP__SESSION_IDLE_DAYS", "31", "applications.shop.session_idle_days"),
        ("SHOP__SESSION_ABSOLUTE_DAYS", "nan", "applications.shop.session_absolute_days"),
        ("SHOP__REFRESH_REUSE_WINDOW_SECS", "3601", "applications.shop.refresh_reuse_window_secs"),
        ("SHOP__CLAIMS__METADATA__SUB", "id", "applications.shop.claims.metadata"),
        ("SHOP__CLAIMS__METADATA__PLAN", "a..b", "applications.shop.claims.metadata"),
        ("SHOP__CLAIMS__METADATA__PLAN__NAME", "plan", "applications.shop.claims.metadata.plan.name"),
        ("SHOP__CLAIMS__ROLES__ADMIN", "two words", "applications.shop.claims.roles"),
        ("SHOP__CLAIMS__FROM_HOOK", "roles", "applications.shop.claims.from_hook"),
        ("S\u017fHOP__NAME", "x", "applications.s\u017fhop"),
    ],
)
def test_what_is_wrong_with_an_application_is_named_by_its_key(folder, variable, value, key):
    (said,) = problems(folder, **{f"APP_APPLICATIONS__{variable}": value})
    assert said.startswith(key)
    assert said.endswith((".", "?"))


def test_lists_are_split_at_commas(folder):
    settings = load(folder, {"APP_AUTH__AUDIENCES": "https://a, https://b"}).settings
    assert settings.audiences == ("https://a", "https://b")


@pytest.mark.parametrize("text", ["server: [", "- a", "server:\n\tport: 1", "\xff"])
def test_a_file_that_is_no_yaml_is_named(folder, text):
    (folder / "config" / "default.yaml").write_bytes(text.encode("latin-1"))
    assert "default.yaml" in problems(folder)[0]


def test_secrets_are_masked_wherever_settings_are_shown(folder):
    settings = load(folder, PRODUCTION | {"APP_AUTH__JWT_SECRET_PREVIOUS": SECRET[::-1]}).settings
    shown = f"{masked(settings)} {settings!r}"
    for secret in (SECRET, SECRET[::-1], PRODUCTION["APP_DATABASE__URL"], PRODUCTION["APP_REDIS__URL"]):
        assert secret not in shown


def test_every_setting_says_what_it_means():
    assert not [leaf.name for leaf in leaves(Settings) if leaf.key != ("profile",) and not leaf.description]
