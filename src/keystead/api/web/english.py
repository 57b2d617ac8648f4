"""The pages in English."""

from keystead.api.web.words import LinkWords, Words
from keystead.kernel.application import LinkTo

ENGLISH = Words(
    language="en",
    links={
        LinkTo.VERIFY: LinkWords(
            title="Confirm your email address",
            lead="Confirm that this address is yours, and your account at {product} is ready.",
            button="Confirm address",
            done_title="Your address is confirmed",
            done="You can close this page and sign in at {product}.",
            refused=(
                "If you have confirmed your address already, sign in as usual. If not, register at {product} once "
                "more: you will get a new link."
            ),
        ),
        LinkTo.RESET: LinkWords(
            title="Choose a new password",
            lead="It is for your account at {product}. You will be signed out everywhere.",
            button="Set new password",
            done_title="Your new password is set",
            done="Sign in at {product} with it. Wherever you were signed in before, you no longer are.",
            refused=(
                "If you have set your new password already, sign in with it. If not, choose “Forgot password” at "
                "{product}: you will get a new link."
            ),
        ),
        LinkTo.CHANGE_EMAIL: LinkWords(
            title="Confirm your new email address",
            lead="From then on, your account at {product} has this address, and you sign in with it.",
            button="Confirm new address",
            done_title="Your new address is confirmed",
            done="From now on, sign in at {product} with your new email address.",
            refused=(
                "If you have confirmed the new address already, sign in with it. If not, change the address of your "
                "account at {product} once more: you will get a new link."
            ),
        ),
        LinkTo.INVITATION: LinkWords(
            title="Accept your invitation",
            lead="You are invited to {product}. Choose a password, and your account is ready.",
            button="Accept invitation",
            done_title="Your account is ready",
            done="Sign in at {product} with your email address and the password that you have just chosen.",
            refused=(
                "If you have accepted the invitation already, sign in as usual. If not, ask whoever invited you to "
                "{product} for a new one."
            ),
        ),
        LinkTo.UNLOCK: LinkWords(
            title="Unlock your account",
            lead="Your account at {product} was locked to protect it. Its password stays as it is.",
            button="Unlock account",
            done_title="Your account is unlocked",
            done="Sign in at {product} as usual. If you do not know your password, choose “Forgot password” there.",
            refused=(
                "If you have unlocked your account already, sign in as usual. If not, choose “Forgot password” at "
                "{product}: a new password unlocks it, too."
            ),
        ),
    },
    problems={
        "password_too_short": "The password is too short: use at least {min_length} characters.",
        "password_too_long": "The password is too long: use at most {max_bytes} bytes.",
        "password_context_word": (
            "Words from your name, your address or this service count for nothing: use at least {min_length} "
            "characters beside them."
        ),
        "password_known": (
            "Others know this password: it is among the commonest, or was found where passwords were stolen. Choose "
            "another."
        ),
        "password_too_weak": "The password is too easy to guess: add a word or two that nobody expects.",
        "password_composition": "The password needs letters and digits, both.",
        "full_name_invalid": "The name is too long, or not all of it prints: use 1 to {max_name_length} characters.",
    },
    problem_mark="Error",
    problem_title="Please change this",
    full_name="Full name",
    optional="optional",
    password="New password",
    password_hint="At least {min_length} characters. A few words that have nothing to do with each other are fine.",
    refused_title="This link is not valid any more",
    refused="It was used, it has expired, or a newer one took its place.",
    taken_title="This email address has an account already",
    taken="Sign in at {product} with it. If you do not know its password, choose “Forgot password” there.",
    busy_title="One moment, please",
    busy="There is too much to do right now. Nothing was changed, and your link is still good.",
    try_again="Try again",
    go_on="Continue to {product}",
)
