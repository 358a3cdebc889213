"""The built-in texts around a code, in each language that a caller may ask for.

The words of text messages keep to the GSM 7-bit alphabet where the language can do that naturally, so that one part is
enough; Greek, Hungarian and Russian cannot and keep to the 70 characters of one UCS-2 part. "min" stands in all of
them because it has no plural.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Words(NamedTuple):
    """Templates of one language with ``{code}``, ``{app}`` and ``{minutes}``."""

    text: str
    speech: str
    subject: str
    mail: str


WORDS: Final[dict[str, Words]] = {
    "en-US": Words(
        "{code} is your {app} code. It expires in {minutes} min. Never share it with anyone.",
        "Hello. Your {app} code is: {code}. Once more: {code}. Goodbye.",
        "Your {app} code",
        "Your {app} code is:\n\n{code}\n\nIt expires in {minutes} min. Never share it with anyone."
        "\n\nIf you did not ask for it, you can ignore this message.",
    ),
    "en-GB": Words(
        "{code} is your {app} code. It is valid for {minutes} min. Do not share it with anyone.",
        "Hello. Your {app} code is: {code}. Once again: {code}. Goodbye.",
        "Your {app} code",
        "Your {app} code is:\n\n{code}\n\nIt is valid for {minutes} min. Do not share it with anyone."
        "\n\nIf you did not request it, please ignore this message.",
    ),
    "el-GR": Words(
        "Κωδικός {app}: {code}. Ισχύει για {minutes} λεπ. Μην τον δώσετε.",
        "Γεια σας. Ο κωδικός σας για {app} είναι: {code}. Επαναλαμβάνω: {code}. Αντίο σας.",
        "Ο κωδικός σας για {app}",
        "Ο κωδικός σας για {app} είναι:\n\n{code}\n\nΙσχύει για {minutes} λεπ. Μην τον δώσετε σε κανέναν."
        "\n\nΑν δεν τον ζητήσατε εσείς, αγνοήστε αυτό το μήνυμα.",
    ),
    "pl-PL": Words(
        "{code} to kod {app}. Wygasa za {minutes} min. Nie podawaj go nikomu.",
        "Dzień dobry. Twój kod {app} to: {code}. Powtarzam: {code}. Do widzenia.",
        "Twój kod {app}",
        "Twój kod {app}:\n\n{code}\n\nKod wygasa za {minutes} min. Nie podawaj go nikomu."
        "\n\nJeśli to nie Ty prosisz o kod, zignoruj tę wiadomość.",
    ),
    "hu-HU": Words(
        "{app} kód: {code}. {minutes} percig érvényes. Ne adja ki senkinek.",
        "Jó napot kívánok. Az Ön kódja a következőhöz: {app}. A kód: {code}. Ismétlem: {code}. Viszonthallásra.",
        "{app}: az Ön kódja",
        "{app}: az Ön kódja\n\n{code}\n\nA kód {minutes} percig érvényes. Ne adja ki senkinek."
        "\n\nHa nem Ön kérte, hagyja figyelmen kívül ezt az üzenetet.",
    ),
    "sv-SE": Words(
        "{code} är din kod för {app}. Den gäller i {minutes} min. Dela den inte med någon.",
        "Hej. Din kod för {app} är: {code}. Jag upprepar: {code}. Hej då.",
        "Din kod för {app}",
        "Din kod för {app} är:\n\n{code}\n\nDen gäller i {minutes} min. Dela den inte med någon."
        "\n\nOm du inte har begärt den kan du bortse från det här meddelandet.",
    ),
    "de-DE": Words(
        "{code} ist Ihr Code für {app}. Er gilt {minutes} Min. Geben Sie ihn nicht weiter.",
        "Guten Tag. Ihr Code für {app} lautet: {code}. Ich wiederhole: {code}. Auf Wiederhören.",
        "Ihr Code für {app}",
        "Ihr Code für {app} lautet:\n\n{code}\n\nEr gilt {minutes} Min. Geben Sie ihn nicht weiter."
        "\n\nFalls Sie ihn nicht angefordert haben, können Sie diese Nachricht ignorieren.",
    ),
    "es-ES": Words(
        "{code} es su clave de {app}. Caduca en {minutes} min. No la comparta con nadie.",
        "Hola. Su clave de {app} es: {code}. Repito: {code}. Adiós.",
        "Su clave de {app}",
        "Su clave de {app} es:\n\n{code}\n\nCaduca en {minutes} min. No la comparta con nadie."
        "\n\nSi no la ha solicitado, puede ignorar este mensaje.",
    ),
    "es-LA": Words(
        "{code} es tu clave de {app}. Vence en {minutes} min. No la compartas con nadie.",
        "Hola. Tu clave de {app} es: {code}. Repito: {code}. Hasta luego.",
        "Tu clave de {app}",
        "Tu clave de {app} es:\n\n{code}\n\nVence en {minutes} min. No la compartas con nadie."
        "\n\nSi no la solicitaste, puedes ignorar este mensaje.",
    ),
    "fr-FR": Words(
        "{code} est votre code {app}. Il expire dans {minutes} min. Ne le communiquez à personne.",
        "Bonjour. Votre code {app} est : {code}. Je répète : {code}. Au revoir.",
        "Votre code {app}",
        "Votre code {app} est :\n\n{code}\n\nIl expire dans {minutes} min. Ne le communiquez à personne."
        "\n\nSi vous ne l'avez pas demandé, ignorez ce message.",
    ),
    "it-IT": Words(
        "{code} è il tuo codice {app}. Scade tra {minutes} min. Non comunicarlo a nessuno.",
        "Salve. Il tuo codice {app} è: {code}. Ripeto: {code}. Arrivederci.",
        "Il tuo codice {app}",
        "Il tuo codice {app} è:\n\n{code}\n\nScade tra {minutes} min. Non comunicarlo a nessuno."
        "\n\nSe non lo hai richiesto tu, ignora questo messaggio.",
    ),
    "pt-BR": Words(
        "{app}: use {code} para confirmar sua identidade. Vale por {minutes} min. Nunca compartilhe.",
        "Olá. Seu código do aplicativo {app} é: {code}. Repetindo: {code}. Até logo.",
        "{app}: seu código",
        "{app}: seu código é\n\n{code}\n\nEle vale por {minutes} min. Não o compartilhe com ninguém."
        "\n\nSe você não o solicitou, ignore esta mensagem.",
    ),
    "ru-RU": Words(
        "{app}: код {code}. Действует {minutes} мин. Никому его не сообщайте.",
        "Здравствуйте. Ваш код для {app}: {code}. Повторяю: {code}. До свидания.",
        "{app}: ваш код",
        "{app}: ваш код\n\n{code}\n\nКод действует {minutes} мин. Никому его не сообщайте."
        "\n\nЕсли вы его не запрашивали, не обращайте внимания на это сообщение.",
    ),
}
