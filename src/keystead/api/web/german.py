"""The pages in German."""

from keystead.api.web.words import LinkWords, Words
from keystead.kernel.application import LinkTo

GERMAN = Words(
    language="de",
    links={
        LinkTo.VERIFY: LinkWords(
            title="E-Mail-Adresse bestätigen",
            lead="Bestätigen Sie, dass diese Adresse Ihnen gehört. Dann ist Ihr Konto bei {product} bereit.",
            button="Adresse bestätigen",
            done_title="Ihre Adresse ist bestätigt",
            done="Sie können diese Seite schließen und sich bei {product} anmelden.",
            refused=(
                "Wenn Sie Ihre Adresse schon bestätigt haben, melden Sie sich wie gewohnt an. Wenn nicht, registrieren "
                "Sie sich noch einmal bei {product}: Sie bekommen einen neuen Link."
            ),
        ),
        LinkTo.RESET: LinkWords(
            title="Neues Passwort wählen",
            lead="Es gilt für Ihr Konto bei {product}. Sie werden überall abgemeldet.",
            button="Neues Passwort setzen",
            done_title="Ihr neues Passwort gilt",
            done="Melden Sie sich damit bei {product} an. Wo Sie bisher angemeldet waren, sind Sie es nicht mehr.",
            refused=(
                "Wenn Sie Ihr neues Passwort schon gesetzt haben, melden Sie sich damit an. Wenn nicht, wählen Sie bei "
                "{product} „Passwort vergessen“: Sie bekommen einen neuen Link."
            ),
        ),
        LinkTo.CHANGE_EMAIL: LinkWords(
            title="Neue E-Mail-Adresse bestätigen",
            lead="Danach gehört diese Adresse zu Ihrem Konto bei {product}, und Sie melden sich mit ihr an.",
            button="Neue Adresse bestätigen",
            done_title="Ihre neue Adresse ist bestätigt",
            done="Melden Sie sich bei {product} ab jetzt mit der neuen E-Mail-Adresse an.",
            refused=(
                "Wenn Sie die neue Adresse schon bestätigt haben, melden Sie sich mit ihr an. Wenn nicht, ändern Sie "
                "die Adresse Ihres Kontos bei {product} noch einmal: Sie bekommen einen neuen Link."
            ),
        ),
        LinkTo.INVITATION: LinkWords(
            title="Einladung annehmen",
            lead="Sie sind zu {product} eingeladen. Wählen Sie ein Passwort, dann ist Ihr Konto bereit.",
            button="Einladung annehmen",
            done_title="Ihr Konto ist bereit",
            done="Melden Sie sich bei {product} mit Ihrer E-Mail-Adresse und dem eben gewählten Passwort an.",
            refused=(
                "Wenn Sie die Einladung schon angenommen haben, melden Sie sich wie gewohnt an. Wenn nicht, bitten Sie "
                "um eine neue, wo Sie zu {product} eingeladen wurden."
            ),
        ),
        LinkTo.UNLOCK: LinkWords(
            title="Konto entsperren",
            lead="Ihr Konto bei {product} wurde zu Ihrem Schutz gesperrt. Ihr Passwort bleibt, wie es ist.",
            button="Konto entsperren",
            done_title="Ihr Konto ist entsperrt",
            done=(
                "Melden Sie sich bei {product} wie gewohnt an. Wenn Sie Ihr Passwort nicht mehr wissen, wählen Sie "
                "dort „Passwort vergessen“."
            ),
            refused=(
                "Wenn Sie Ihr Konto schon entsperrt haben, melden Sie sich wie gewohnt an. Wenn nicht, wählen Sie bei "
                "{product} „Passwort vergessen“: Auch ein neues Passwort entsperrt es."
            ),
        ),
    },
    problems={
        "password_too_short": "Das Passwort ist zu kurz: Es braucht mindestens {min_length} Zeichen.",
        "password_too_long": "Das Passwort ist zu lang: Es darf höchstens {max_bytes} Bytes haben.",
        "password_context_word": (
            "Wörter aus Ihrem Namen, Ihrer Adresse oder diesem Dienst zählen nicht: Außer ihnen braucht es mindestens "
            "{min_length} Zeichen."
        ),
        "password_known": (
            "Andere kennen dieses Passwort: Es ist eines der häufigsten oder war unter gestohlenen. Wählen Sie ein "
            "anderes."
        ),
        "password_too_weak": "Das Passwort ist zu leicht zu erraten: Nehmen Sie ein oder zwei unerwartete Wörter dazu.",
        "password_composition": "Das Passwort braucht Buchstaben und Ziffern.",
        "full_name_invalid": (
            "Der Name ist zu lang oder nicht ganz druckbar: Möglich sind 1 bis {max_name_length} Zeichen."
        ),
    },
    problem_mark="Fehler",
    problem_title="Bitte ändern Sie das",
    full_name="Vor- und Nachname",
    optional="freiwillig",
    password="Neues Passwort",
    password_hint="Mindestens {min_length} Zeichen. Gut sind ein paar Wörter, die nichts miteinander zu tun haben.",
    refused_title="Dieser Link gilt nicht mehr",
    refused="Er wurde schon verwendet, ist abgelaufen oder wurde durch einen neueren ersetzt.",
    taken_title="Zu dieser E-Mail-Adresse gibt es schon ein Konto",
    taken=(
        "Melden Sie sich bei {product} damit an. Wenn Sie das Passwort nicht wissen, wählen Sie dort „Passwort "
        "vergessen“."
    ),
    busy_title="Einen Augenblick, bitte",
    busy="Gerade ist zu viel zu tun. Es wurde nichts geändert, und Ihr Link gilt weiterhin.",
    try_again="Noch einmal versuchen",
    go_on="Weiter zu {product}",
)
